"""The canary: a changed gateway runs beside the old one, and a paired experiment decides which of them stays.

ECS starts the new tasks in the target group that has no traffic, and leads requests with a secret header to them. The
hook's function asks both gateways the same questions through CloudFront; ECS then shifts the traffic in two steps, or
rolls back.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import aws_cdk as cdk
from aws_cdk import aws_applicationautoscaling as scaling
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_elasticloadbalancingv2 as elb
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from aws_cdk import aws_secretsmanager as sm
from constructs import Construct

from qa_eval.blueprint.canary import HEADER, HOOK_VARIABLE, RELEASE_VARIABLE, release
from qa_eval.blueprint.routes import ROUTES
from qa_eval.blueprint.secrets import Secret
from qa_eval_infra.data import generated_secret
from qa_eval_infra.findings import accept
from qa_eval_infra.functions import function_architecture
from qa_eval_infra.loadbalancer import LoadBalancer
from qa_eval_infra.network import Network
from qa_eval_infra.settings import QaEvalSettings

CANARY_SECRET: Final = Secret("canary-secret", "Leads a request to the new gateway while a canary decides.", {})
PRIORITY: Final = 150
"""Of the rule for the new gateway: after Phoenix's, before the gateway's own."""
FIRST_STEP_PERCENT: Final = 10
BAKE: Final = cdk.Duration.minutes(10)
"""How long ECS waits after the first step of the traffic, and again before it stops the old tasks."""
_TIMEOUT: Final = cdk.Duration.minutes(14)
_SCRATCH: Final = "/tmp/qa-eval"  # noqa: S108  # the only folder that a function may write


def release_environment(settings: QaEvalSettings) -> dict[str, str]:
    """What makes a change of the chatbot's model or instruction a new release of the gateway."""
    return {RELEASE_VARIABLE: release(settings.chatbot_model, settings.chatbot)} if settings.canary else {}


def deployment_options(settings: QaEvalSettings) -> dict[str, Any]:
    """How ECS deploys the gateway; without a canary by its default, task by task."""
    if not settings.canary:
        return {}
    return {
        "deployment_strategy": ecs.DeploymentStrategy.CANARY,
        "canary_configuration": ecs.TrafficShiftConfig(step_percent=FIRST_STEP_PERCENT, step_bake_time=BAKE),
        "bake_time": BAKE,
    }


def scale_on_requests(
    tasks: ecs.ScalableTaskCount, groups: Sequence[elb.ApplicationTargetGroup], requests_per_target: int
) -> None:
    """Scale on the requests for each task, in whichever target group they are."""
    if len(groups) == 1:
        tasks.scale_on_request_count("Requests", requests_per_target=requests_per_target, target_group=groups[0])
        return
    target = tasks.node.find_child("Target")
    assert isinstance(target, scaling.ScalableTarget)
    names = [f"g{place}" for place in range(len(groups))]
    total = f"SUM([{', '.join(f'FILL({name}, 0)' for name in names)}])"
    scaling.CfnScalingPolicy(
        target,
        "Requests",
        policy_name="Requests",
        policy_type="TargetTrackingScaling",
        scaling_target_id=target.scalable_target_id,
        target_tracking_scaling_policy_configuration=scaling.CfnScalingPolicy.TargetTrackingScalingPolicyConfigurationProperty(
            target_value=requests_per_target,
            # ALBRequestCountPerTarget knows one group, and either may have the traffic.
            customized_metric_specification=scaling.CfnScalingPolicy.CustomizedMetricSpecificationProperty(
                metrics=[
                    *(_requests(name, group) for name, group in zip(names, groups, strict=True)),
                    scaling.CfnScalingPolicy.TargetTrackingMetricDataQueryProperty(
                        id="total", expression=total, return_data=True
                    ),
                ]
            ),
        ),
    )


def _requests(
    id: str, group: elb.ApplicationTargetGroup
) -> scaling.CfnScalingPolicy.TargetTrackingMetricDataQueryProperty:
    return scaling.CfnScalingPolicy.TargetTrackingMetricDataQueryProperty(
        id=id,
        return_data=False,
        metric_stat=scaling.CfnScalingPolicy.TargetTrackingMetricStatProperty(
            stat="Sum",
            metric=scaling.CfnScalingPolicy.TargetTrackingMetricProperty(
                namespace="AWS/ApplicationELB",
                metric_name="RequestCountPerTarget",
                dimensions=[
                    scaling.CfnScalingPolicy.TargetTrackingMetricDimensionProperty(
                        name="TargetGroup", value=group.target_group_full_name
                    )
                ],
            ),
        ),
    )


def _forward_to_both(rule: elb.ApplicationListenerRule, groups: Sequence[elb.ApplicationTargetGroup]) -> None:
    """What the rule is before ECS writes its own weights, and what makes CloudFormation undo them without a canary."""
    resource = rule.node.default_child
    assert isinstance(resource, elb.CfnListenerRule)
    targets = [
        elb.CfnListenerRule.TargetGroupTupleProperty(target_group_arn=group.target_group_arn, weight=weight)
        for group, weight in zip(groups, (100, 0), strict=True)
    ]
    forward = elb.CfnListenerRule.ForwardConfigProperty(target_groups=targets)
    resource.actions = [elb.CfnListenerRule.ActionProperty(type="forward", forward_config=forward)]


class Canary(Construct):
    """The second target group, the rule that leads to it, and the function that decides."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        settings: QaEvalSettings,
        network: Network,
        balancer: LoadBalancer,
        log_group: logs.ILogGroup,
    ) -> None:
        super().__init__(scope, id)
        self._settings, self._log_group = settings, log_group
        self._secret = generated_secret(self, CANARY_SECRET)
        group = balancer.target_group(self, "Group", "litellm", network)
        balancer.alternates["litellm"] = group
        (route,) = [each for each in ROUTES if each.server == "litellm"]
        value = self._secret.secret_value.unsafe_unwrap()  # in the template: a reference
        rule = elb.ApplicationListenerRule(
            self,
            "Rule",
            listener=balancer.listener,
            priority=PRIORITY,
            conditions=[*balancer.conditions(route.paths), elb.ListenerCondition.http_header(HEADER, [value])],
            action=elb.ListenerAction.forward([group]),
        )
        _forward_to_both(balancer.rules["litellm"], balancer.groups("litellm"))
        role = iam.Role(
            self,
            "TrafficRole",
            assumed_by=iam.ServicePrincipal("ecs.amazonaws.com"),
            managed_policies=[
                iam.ManagedPolicy.from_aws_managed_policy_name("AmazonECSInfrastructureRolePolicyForLoadBalancers")
            ],
        )
        managed = "arn:<AWS::Partition>:iam::aws:policy/AmazonECSInfrastructureRolePolicyForLoadBalancers"
        accept(role, f"IAM4[Policy::{managed}]", "AWS's own policy with which ECS moves traffic between target groups")
        self.target = ecs.AlternateTarget(
            "Alternate",
            alternate_target_group=group,
            production_listener=ecs.ListenerRuleConfiguration.application_listener_rule(balancer.rules["litellm"]),
            test_listener=ecs.ListenerRuleConfiguration.application_listener_rule(rule),
            role=role,
        )

    def add_hook(self, service: ecs.FargateService, url: str, key: sm.ISecret) -> None:
        """Let the function decide on each deployment of a service.

        Args:
            service: The gateway's service.
            url: The public URL of old and new.
            key: The secret with the experiments' virtual key.
        """
        function = self._function(url, key)
        role = iam.Role(self, "HookRole", assumed_by=iam.ServicePrincipal("ecs.amazonaws.com"))
        role.add_to_policy(iam.PolicyStatement(actions=["lambda:InvokeFunction"], resources=[function.function_arn]))
        service.add_lifecycle_hook(
            ecs.DeploymentLifecycleLambdaTarget(
                function, "Hook", lifecycle_stages=[ecs.DeploymentLifecycleStage.POST_TEST_TRAFFIC_SHIFT], role=role
            )
        )

    def _function(self, url: str, key: sm.ISecret) -> lambda_.Function:
        from qa_eval.deployment import package  # loads the library's datasets, which nothing else here needs

        settings, stack = self._settings, cdk.Stack.of(self)
        role = iam.Role(self, "FunctionRole", assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"))
        self._log_group.grant_write(role)
        key.grant_read(role)
        self._secret.grant_read(role)
        revisions = stack.format_arn(service="ecs", resource="service-revision", resource_name="*")
        for action, resource in (("ecs:DescribeServiceRevisions", revisions), ("ecs:DescribeTaskDefinition", "*")):
            role.add_to_policy(iam.PolicyStatement(actions=[action], resources=[resource]))
        finding = f"IAM5[Resource::arn:<AWS::Partition>:ecs:{settings.region}:<AWS::AccountId>:service-revision/*]"
        accept(role, finding, "The next revision of the gateway's service has no id before it exists")
        accept(role, "IAM5[Resource::*]", "Describing a task definition cannot be restricted to an ARN")
        told = {
            "gateway_url": url,
            "key_secret": key.secret_arn,
            "header_secret": self._secret.secret_arn,
            "fail_on": list(settings.canary_fail_on),
            "examples": settings.canary_examples,
            "budget_usd": settings.canary_budget,
            "inconclusive": settings.canary_inconclusive,
        }
        return lambda_.Function(
            self,
            "Function",
            description="Compares a new gateway with the old one, and decides which of them stays",
            runtime=lambda_.Runtime.PYTHON_3_14,
            architecture=function_architecture(settings),
            handler="qa_eval.deployment.canary_hook.lambda_handler",
            code=lambda_.Code.from_asset(str(package.find(settings.architecture))),
            role=role,
            memory_size=2048,
            timeout=_TIMEOUT,
            log_group=self._log_group,
            environment={HOOK_VARIABLE: stack.to_json_string(told), "QA_EVAL_DATA_DIR": _SCRATCH},
        )
