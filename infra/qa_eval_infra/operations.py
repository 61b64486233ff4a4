"""Monitoring: alarms, a dashboard, the readiness probe and the monthly budget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import aws_cdk as cdk
from aws_cdk import aws_budgets as budgets
from aws_cdk import aws_cloudwatch as cw
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_elasticloadbalancingv2 as elb
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as event_targets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from constructs import Construct

from qa_eval.blueprint.gateway import PREFIX
from qa_eval.blueprint.health import readiness_urls
from qa_eval.blueprint.routes import Server
from qa_eval_infra.data import Database
from qa_eval_infra.functions import helper_function
from qa_eval_infra.loadbalancer import LoadBalancer
from qa_eval_infra.services import Gateway, Phoenix
from qa_eval_infra.settings import QaEvalSettings

FIVE_MINUTES: Final = cdk.Duration.minutes(5)
NAMESPACE: Final = "qa-eval"
_ABOVE: Final = cw.ComparisonOperator.GREATER_THAN_THRESHOLD
_BELOW: Final = cw.ComparisonOperator.LESS_THAN_THRESHOLD


class AlarmTopic(Construct):
    """The topic of all alarms."""

    def __init__(self, scope: Construct, id: str, settings: QaEvalSettings) -> None:
        super().__init__(scope, id)
        self.topic = sns.Topic(self, "Topic", enforce_ssl=True, display_name=f"{settings.name} alarms")
        # A custom policy, such as the one that requires TLS, replaces SNS's default policy, which admits alarms.
        self.topic.add_to_resource_policy(
            iam.PolicyStatement(
                principals=[iam.ServicePrincipal("cloudwatch.amazonaws.com")],
                actions=["sns:Publish"],
                resources=[self.topic.topic_arn],
                conditions={"StringEquals": {"aws:SourceAccount": cdk.Aws.ACCOUNT_ID}},
            )
        )
        if settings.alarm_email:
            self.topic.add_subscription(subscriptions.EmailSubscription(settings.alarm_email))


class Readiness(Construct):
    """Checks the readiness of both servers, including the database, through the edge every minute."""

    def __init__(
        self, scope: Construct, id: str, settings: QaEvalSettings, log_group: logs.ILogGroup, url: str
    ) -> None:
        super().__init__(scope, id)
        self._namespace = f"{NAMESPACE}/{settings.name}"
        function = helper_function(
            self,
            folder="readiness",
            settings=settings,
            log_group=log_group,
            timeout=cdk.Duration.seconds(45),
            environment={
                "NAMESPACE": self._namespace,
                "PROBES": cdk.Stack.of(self).to_json_string(readiness_urls(url)),
            },
            description="Checks the readiness of the gateway and Phoenix every minute",
        )
        events.Rule(
            self,
            "EveryMinute",
            schedule=events.Schedule.rate(cdk.Duration.minutes(1)),
            targets=[event_targets.LambdaFunction(function, retry_attempts=0)],
        )

    def metric(self, server: Server) -> cw.Metric:
        """1 if the server was ready, else 0."""
        return cw.Metric(
            namespace=self._namespace,
            metric_name="Ready",
            dimensions_map={"Server": server},
            statistic=cw.Stats.MINIMUM,
            period=cdk.Duration.minutes(1),
        )


class Operations(Construct):
    """The alarms, and a dashboard of the same metrics."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        settings: QaEvalSettings,
        topic: AlarmTopic,
        balancer: LoadBalancer,
        gateway: Gateway,
        phoenix: Phoenix,
        database: Database,
        readiness: Readiness,
    ) -> None:
        super().__init__(scope, id)
        self._action = actions.SnsAction(topic.topic)
        self._alarms: dict[str, cw.Alarm] = {}
        self._watch_requests(balancer)
        self._watch_servers(balancer, gateway, phoenix, readiness)
        self._watch_database(database)
        self._watch_bedrock(settings)
        self._draw(settings.name)
        console = f"https://{settings.region}.console.aws.amazon.com/cloudwatch/home#dashboards/dashboard"
        self.dashboard_url = f"{console}/{settings.name}"
        if settings.alarm_email:
            _budget(self, settings.monthly_budget, settings.alarm_email)

    def _alarm(
        self,
        name: str,
        metric: cw.IMetric,
        threshold: float,
        description: str,
        *,
        periods: int = 1,
        comparison: cw.ComparisonOperator = _ABOVE,
        missing: cw.TreatMissingData = cw.TreatMissingData.NOT_BREACHING,
    ) -> None:
        alarm = cw.Alarm(
            self,
            name,
            metric=metric,
            threshold=threshold,
            evaluation_periods=periods,
            comparison_operator=comparison,
            treat_missing_data=missing,
            alarm_description=description,
        )
        alarm.add_alarm_action(self._action)
        self._alarms[name] = alarm

    def _watch_requests(self, balancer: LoadBalancer) -> None:
        metrics = balancer.balancer.metrics
        own = metrics.http_code_elb(elb.HttpCodeElb.ELB_5XX_COUNT, period=FIVE_MINUTES)
        self._alarm("BalancerErrors", own, 10, "The load balancer answered with 5xx: no healthy task, or a timeout.")
        for server in balancer.targets:
            title = server.title()
            errors = [
                group.metrics.http_code_target(elb.HttpCodeTarget.TARGET_5XX_COUNT, period=FIVE_MINUTES)
                for group in balancer.groups(server)
            ]
            self._alarm(
                f"{title}Errors", _over_groups("SUM", errors), 10, f"{title} answered more than 10 requests with 5xx."
            )
        slow = [
            group.metrics.target_response_time(statistic="p95", period=FIVE_MINUTES)
            for group in balancer.groups("litellm")
        ]
        self._alarm(
            "Latency", _over_groups("MAX", slow), 30, "One gateway answer in twenty takes longer than 30 s.", periods=3
        )

    def _watch_servers(self, balancer: LoadBalancer, gateway: Gateway, phoenix: Phoenix, readiness: Readiness) -> None:
        servers: Mapping[Server, Gateway | Phoenix] = {"litellm": gateway, "phoenix": phoenix}
        for server, construct in servers.items():
            title = server.title()
            unhealthy = [
                group.metrics.unhealthy_host_count(period=cdk.Duration.minutes(1)) for group in balancer.groups(server)
            ]
            self._alarm(
                f"{title}Unhealthy",
                _over_groups("SUM", unhealthy),
                0,
                f"A {title} task fails its health check.",
                periods=5,
            )
            memory = construct.service.metric_memory_utilization(statistic="Maximum", period=FIVE_MINUTES)
            self._alarm(f"{title}Memory", memory, 85, f"A {title} task is about to run out of memory.", periods=2)
            self._alarm(
                f"{title}NotReady",
                readiness.metric(server),
                1,
                f"{title} is not ready: its database may be unavailable. Its tasks are not restarted.",
                periods=5,
                comparison=_BELOW,
                missing=cw.TreatMissingData.BREACHING,
            )

    def _watch_database(self, database: Database) -> None:
        used = database.cluster.metric_acu_utilization(statistic="Maximum", period=FIVE_MINUTES)
        self._alarm("DatabaseCapacity", used, 90, "Aurora is near `database_max_acu`.", periods=3)

    def _watch_bedrock(self, settings: QaEvalSettings) -> None:
        # All guardrails of the account and region; masking counts as an intervention too.
        blocks = cw.Metric(
            namespace="AWS/Bedrock/Guardrails",
            metric_name="InvocationsIntervened",
            dimensions_map={"Operation": "ApplyGuardrail"},
            statistic=cw.Stats.SUM,
            period=FIVE_MINUTES,
        )
        self._alarm("GuardrailBlocks", blocks, 50, "The guardrail intervened more than 50 times in five minutes.")
        models = sorted(
            {entry.litellm_params.model.removeprefix(PREFIX) for entry in settings.gateway_config.model_list}
        )
        throttles = {f"m{place}": _throttles(model) for place, model in enumerate(models)}
        total = cw.MathExpression(
            expression=" + ".join(f"FILL({name}, 0)" for name in throttles), using_metrics=throttles, label="Throttles"
        )
        self._alarm("Throttles", total, 5, "Bedrock throttled calls: request a higher quota, or lower the concurrency.")

    def _draw(self, name: str) -> None:
        widgets: list[cw.IWidget] = [
            cw.AlarmStatusWidget(title="Alarms", alarms=list(self._alarms.values()), width=24, height=4)
        ]
        widgets += [
            cw.GraphWidget(title=title, left=[alarm.metric], left_annotations=[alarm.to_annotation()], width=8)
            for title, alarm in self._alarms.items()
        ]
        dashboard = cw.Dashboard(self, "Dashboard", dashboard_name=name)
        dashboard.add_widgets(*widgets)


def _over_groups(function: str, metrics: Sequence[cw.Metric]) -> cw.IMetric:
    """One metric of all target groups of a server, of which one may be empty.

    Args:
        function: `SUM` or `MAX`.
        metrics: The same metric of each group.
    """
    if len(metrics) == 1:
        return metrics[0]
    used = {f"g{place}": metric for place, metric in enumerate(metrics)}
    filled = ", ".join(f"FILL({name}, 0)" for name in used)
    return cw.MathExpression(expression=f"{function}([{filled}])", using_metrics=used, period=metrics[0].period)


def _throttles(model: str) -> cw.Metric:
    return cw.Metric(
        namespace="AWS/Bedrock",
        metric_name="InvocationThrottles",
        dimensions_map={"ModelId": model},
        statistic=cw.Stats.SUM,
        period=FIVE_MINUTES,
    )


def _budget(scope: Construct, amount: float, email: str) -> None:
    """Notify when the account's actual or forecast monthly cost exceeds the budget."""
    subscriber = budgets.CfnBudget.SubscriberProperty(subscription_type="EMAIL", address=email)
    budgets.CfnBudget(
        scope,
        "Budget",
        budget=budgets.CfnBudget.BudgetDataProperty(
            budget_type="COST",
            time_unit="MONTHLY",
            budget_limit=budgets.CfnBudget.SpendProperty(amount=amount, unit="USD"),
        ),
        notifications_with_subscribers=[
            budgets.CfnBudget.NotificationWithSubscribersProperty(
                notification=budgets.CfnBudget.NotificationProperty(
                    comparison_operator="GREATER_THAN", notification_type=kind, threshold=100
                ),
                subscribers=[subscriber],
            )
            for kind in ("ACTUAL", "FORECASTED")
        ],
    )
