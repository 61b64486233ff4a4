"""Asks LiteLLM's own router, in LiteLLM's environment: a line of JSON in (a case), a line of JSON out (who answers).

A case: `deployments`, a model list as config.yaml has it; `prices`, rows for the price map; `down`, the places of
deployments that have just failed. The answer: the place of the chosen deployment, or null.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

import litellm
from litellm import Router


async def choose(case: dict) -> int | None:
    """The place of the deployment that cost-based routing chooses."""
    litellm.model_cost.update(case["prices"])
    for place, deployment in enumerate(case["deployments"]):
        deployment["model_info"]["id"] = str(place)
    router = Router(model_list=case["deployments"], routing_strategy="cost-based-routing", cooldown_time=60)
    failure = litellm.InternalServerError("it failed", model="m", llm_provider="bedrock")
    for place in case["down"]:
        router.cooldown_cache.add_deployment_to_cooldown(str(place), failure, 500, 60)
    try:
        chosen = await router.async_get_available_deployment("qa", {}, [{"role": "user", "content": "Who?"}])
    except Exception:
        return None
    finally:
        router.discard()
    return int(chosen["model_info"]["id"])


async def main() -> None:
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for line in sys.stdin:
        sys.stdout.write(json.dumps(await choose(json.loads(line))) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main())
