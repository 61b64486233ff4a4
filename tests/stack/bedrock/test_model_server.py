"""The model server: loopback only, the same answer always, gone when told to go."""

import contextlib
import json
import signal
import socket
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import psutil
from shared_data import squad_file

from qa_eval.stack.bedrock.prompts import ContextQuestion, as_series

CONTEXT = (
    "Ada Lovelace was born in London in 1815. Her mother had her taught mathematics, and at seventeen she met Charles "
    "Babbage, who showed her a part of his Difference Engine. In 1843 she translated an article on his Analytical "
    "Engine, and added notes that are three times as long; one of them says how the engine would compute Bernoulli "
    "numbers. She wrote that it might compose music, but that it would never originate anything."
)
QUESTIONS = (
    "When was Ada Lovelace born?",
    "When was it that she met Babbage?",
    "What did he show her?",
    "What did she say of the engine and music?",
    "How long are her notes?",
    "How would you describe her to a child?",
)
PROMPTS = [as_series(ContextQuestion(CONTEXT, question), "") for question in QUESTIONS]


def complete(model, prompt, **more):
    body = {"prompt": prompt, "n_predict": 16, "temperature": 0, "stop": ["\n"], **more}
    reply = httpx.post(f"{model.url}/completion", json=body, timeout=60)
    assert reply.status_code == 200, reply.text
    return reply.json()


def test_it_listens_on_loopback_alone(model):
    listening = [
        each.laddr.ip for each in psutil.Process(model.process.pid).net_connections() if each.status == "LISTEN"
    ]
    assert listening == ["127.0.0.1"]


def test_the_same_prompt_has_the_same_answer_whatever_was_asked_before_or_beside_it(model):
    # Far beyond the answer the model is undecided, and the last bits of its numbers show.
    def write(prompt):
        return complete(model, prompt, stop=[], n_predict=32, ignore_eos=True)["content"]

    alone = [write(prompt) for prompt in PROMPTS]
    with ThreadPoolExecutor(4) as together:
        beside = list(together.map(write, reversed(PROMPTS)))

    assert len(set(alone)) == len(PROMPTS)
    assert beside[::-1] == alone


def test_what_prompts_begin_with_is_read_once(model):
    complete(model, PROMPTS[0])
    timings = complete(model, PROMPTS[-1])["timings"]
    assert timings["prompt_n"] < 60 < 200 < timings["cache_n"]


def test_the_longest_context_of_squad_fits_with_room_for_the_answer(model):
    content = json.loads(squad_file("dev-v1.1.json").read_text())
    contexts = [paragraph["context"] for article in content["data"] for paragraph in article["paragraphs"]]
    longest = sorted(contexts, key=len)[-5:]

    for context in longest:
        prompt = as_series(ContextQuestion(context, "What is this?" * 10), "unanswerable")
        tokens = httpx.post(f"{model.url}/tokenize", json={"content": prompt}).json()["tokens"]
        assert len(tokens) < 4096 / 2


def test_a_page_in_a_browser_cannot_read_its_answers(model):
    reply = httpx.get(f"{model.url}/health", headers={"Origin": "http://elsewhere.example"})
    assert reply.headers.get("Access-Control-Allow-Origin") not in ("*", "http://elsewhere.example")


def test_sigterm_ends_it_in_the_middle_of_an_answer(start_model):
    with start_model() as model:
        writing = threading.Event()

        def ask():
            body = {"prompt": "Once", "n_predict": 4000, "ignore_eos": True, "stream": True}
            with (
                contextlib.suppress(httpx.TransportError),
                httpx.stream("POST", f"{model.url}/completion", json=body) as reply,
            ):
                for _ in reply.iter_raw():
                    writing.set()

        asking = threading.Thread(target=ask)
        asking.start()
        assert writing.wait(20)
        began = time.monotonic()
        model.process.send_signal(signal.SIGTERM)
        model.process.wait(5)
        asking.join()

        assert time.monotonic() - began < 1


def test_a_port_in_use_is_said_in_a_sentence(model_command):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = subprocess.run(model_command(port), capture_output=True, text=True, timeout=60)

    assert done.returncode == 1
    assert f"The model server cannot start on port {port}" in done.stderr
    assert "Traceback" not in done.stderr
