"""Every resource of the design, on the synthesised templates."""

from __future__ import annotations

import json
from typing import Any

import pytest
from templates import DOMAIN, Platform, Synthesise

from qa_eval.blueprint import budgets, outputs
from qa_eval.blueprint.gateway import read_config
from qa_eval.blueprint.guardrail import load_guardrail_policy
from qa_eval.blueprint.health import HEALTH, container_check
from qa_eval.blueprint.routes import PORTS
from qa_eval.blueprint.secrets import SECRETS
from qa_eval.blueprint.versions import server_versions
from qa_eval_infra.zones import EXCLUDED, ZONES


def environment(container: dict[str, Any]) -> dict[str, Any]:
    return {each["Name"]: each["Value"] for each in container["Environment"]}


def secret_names(container: dict[str, Any]) -> set[str]:
    return {each["Name"] for each in container["Secrets"]}


def test_the_cluster_is_fargate_and_both_servers_are_pinned(platform: Platform) -> None:
    versions = server_versions()
    gateway, phoenix = platform.container("GatewayTask"), platform.container("PhoenixTask")
    assert gateway["Image"] == f"ghcr.io/berriai/litellm-database:v{versions['litellm']}"
    assert phoenix["Image"] == f"docker.io/arizephoenix/phoenix:version-{versions['arize-phoenix']}"
    for task in platform.all("AWS::ECS::TaskDefinition").values():
        assert task["RequiresCompatibilities"] == ["FARGATE"]
        assert task["RuntimePlatform"] == {"CpuArchitecture": "X86_64", "OperatingSystemFamily": "LINUX"}


def test_the_servers_listen_where_the_design_says(platform: Platform) -> None:
    for task, server in (("GatewayTask", "litellm"), ("PhoenixTask", "phoenix")):
        (port,) = platform.container(task)["PortMappings"]
        assert port["ContainerPort"] == {"litellm": 4000, "phoenix": 6006}[server]
        assert port["Name"] == server


def test_services_roll_back_and_never_go_below_what_runs(platform: Platform) -> None:
    services = platform.all("AWS::ECS::Service")
    assert len(services) == 2
    for service in services.values():
        deployment = service["DeploymentConfiguration"]
        assert deployment["DeploymentCircuitBreaker"] == {"Enable": True, "Rollback": True}
        assert (deployment["MinimumHealthyPercent"], deployment["MaximumPercent"]) == (100, 200)
        assert service["NetworkConfiguration"]["AwsvpcConfiguration"]["AssignPublicIp"] == "DISABLED"


def test_phoenix_is_found_under_its_name_inside_the_cluster(platform: Platform) -> None:
    service = platform.only("AWS::ECS::Service", "Phoenix")
    (connect,) = service["ServiceConnectConfiguration"]["Services"]
    assert connect["DiscoveryName"] == "phoenix-service"
    assert connect["ClientAliases"] == [{"DnsName": "phoenix-service", "Port": 6006}]
    told = environment(platform.container("GatewayTask"))
    assert told["PHOENIX_COLLECTOR_HTTP_ENDPOINT"] == "http://phoenix-service:6006/v1/traces"
    assert platform.only("AWS::ECS::Service", "Gateway")["ServiceConnectConfiguration"]["Enabled"]


def test_container_health_is_asked_in_python(platform: Platform) -> None:
    for task, server in (("GatewayTask", "litellm"), ("PhoenixTask", "phoenix")):
        check = platform.container(task)["HealthCheck"]
        assert check["Command"] == ["CMD", *container_check(server)]
        assert check["Timeout"] <= 10 < check["StartPeriod"] <= 300


def test_logs_never_hold_up_a_server_and_are_not_kept_for_ever(platform: Platform) -> None:
    for task in platform.all("AWS::ECS::TaskDefinition").values():
        for container in task["ContainerDefinitions"]:
            assert container["LogConfiguration"]["Options"]["mode"] == "non-blocking"
    for group in platform.all("AWS::Logs::LogGroup").values():
        assert group["RetentionInDays"] == platform.settings.log_retention_days


def test_phoenix_has_a_read_only_root_and_one_folder_to_write(platform: Platform) -> None:
    container = platform.container("PhoenixTask")
    assert container["ReadonlyRootFilesystem"]
    (mount,) = container["MountPoints"]
    assert environment(container)["PHOENIX_WORKING_DIR"].startswith(f"{mount['ContainerPath']}/")


def test_the_gateway_scales_between_the_chosen_bounds(synthesise: Synthesise) -> None:
    platform = synthesise("gateway_tasks_min=2", "gateway_tasks_max=7")
    target = platform.only("AWS::ApplicationAutoScaling::ScalableTarget")
    assert (target["MinCapacity"], target["MaxCapacity"]) == (2, 7)
    kinds = {
        policy["TargetTrackingScalingPolicyConfiguration"]["PredefinedMetricSpecification"]["PredefinedMetricType"]
        for policy in platform.all("AWS::ApplicationAutoScaling::ScalingPolicy").values()
    }
    assert kinds == {"ECSServiceAverageCPUUtilization", "ALBRequestCountPerTarget"}
    assert "DesiredCount" not in platform.only("AWS::ECS::Service", "Gateway"), "an update would undo the scaling"


def test_the_migration_runs_once_before_the_gateway(platform: Platform) -> None:
    container = platform.container("GatewayMigrate")
    assert container["Command"][-1] == "--skip_server_startup"
    assert "PortMappings" not in container or container["PortMappings"] == []
    assert "DISABLE_SCHEMA_UPDATE" not in environment(container)
    assert environment(platform.container("GatewayTask"))["DISABLE_SCHEMA_UPDATE"] == "true"
    (run,) = [name for name, each in platform.home["Resources"].items() if each["Type"] == "Custom::RunTask"]
    (service,) = [
        each
        for name, each in platform.home["Resources"].items()
        if each["Type"] == "AWS::ECS::Service" and "Gateway" in name
    ]
    assert run in service["DependsOn"]
    assert any("DatabaseClusterWriter" in name for name in platform.home["Resources"][run]["DependsOn"])


def test_a_new_configuration_is_a_new_task_definition(
    platform: Platform, synthesise: Synthesise, tmp_path: Any
) -> None:
    changed = tmp_path / "config.yaml"
    changed.write_text(platform.settings.config_file.read_text().replace("num_retries: 3", "num_retries: 2"))
    other = synthesise(f"config={changed}")
    keys = [
        environment(each.container("GatewayTask"))["LITELLM_CONFIG_BUCKET_OBJECT_KEY"] for each in (platform, other)
    ]
    assert keys[0] != keys[1]
    assert (platform.folder / f"asset.{keys[0]}").read_bytes() == platform.settings.config_file.read_bytes()


def test_an_old_task_may_still_read_its_own_configuration(platform: Platform) -> None:
    readers = [
        statement["Resource"]
        for name, policy in platform.all("AWS::IAM::Policy").items()
        for statement in policy["PolicyDocument"]["Statement"]
        if statement["Action"] == "s3:GetObject" and "TaskRole" in name
    ]
    assert len(readers) == 2, "the gateway and its migration"
    assert all(json.dumps(each).endswith('/*.yaml"]]}') for each in readers)


def test_the_migration_may_run_the_next_revision_too(platform: Platform) -> None:
    """What CloudFormation grants with an update may reach IAM after the function needs it."""
    (run,) = [
        statement
        for name, policy in platform.all("AWS::IAM::Policy").items()
        for statement in policy["PolicyDocument"]["Statement"]
        if statement["Action"] == "ecs:RunTask"
    ]
    assert json.dumps(run["Resource"]).endswith(':*"]]}')
    assert "ecs:cluster" in run["Condition"]["ArnEquals"]


def test_no_secret_is_in_a_plain_environment_variable(platform: Platform) -> None:
    hidden = {variable for secret in SECRETS for variable in secret.read_as.values()} | {
        "DATABASE_PASSWORD",
        "PHOENIX_POSTGRES_PASSWORD",
    }
    for name in ("GatewayTask", "GatewayMigrate", "PhoenixTask"):
        container = platform.container(name)
        assert not hidden & environment(container).keys()
    assert secret_names(platform.container("GatewayTask")) == {
        "LITELLM_MASTER_KEY",
        "LITELLM_SALT_KEY",
        "PHOENIX_API_KEY",
        "REDIS_PASSWORD",
        "DATABASE_HOST",
        "DATABASE_USERNAME",
        "DATABASE_PASSWORD",
    }
    generated = platform.all("AWS::SecretsManager::Secret")
    assert all("SecretString" not in secret for secret in generated.values())
    assert all("GenerateSecretString" in secret for secret in generated.values())


def test_the_gateway_gets_all_that_its_configuration_refers_to(platform: Platform) -> None:
    container = platform.container("GatewayTask")
    assert set(read_config().environment()) <= environment(container).keys() | secret_names(container)


def test_aurora_is_serverless_encrypted_backed_up_and_protected(platform: Platform) -> None:
    cluster = platform.only("AWS::RDS::DBCluster")
    assert cluster["Engine"] == "aurora-postgresql"
    assert cluster["ServerlessV2ScalingConfiguration"] == {"MinCapacity": 0.5, "MaxCapacity": 4}
    assert cluster["StorageEncrypted"]
    assert cluster["DeletionProtection"]
    assert cluster["BackupRetentionPeriod"] == 7
    assert platform.only("AWS::RDS::DBInstance")["PubliclyAccessible"] is False
    (kept,) = [each for each in platform.home["Resources"].values() if each["Type"] == "AWS::RDS::DBCluster"]
    assert kept["DeletionPolicy"] == kept["UpdateReplacePolicy"] == "Snapshot"


def test_both_servers_share_the_database_and_not_a_schema(platform: Platform) -> None:
    gateway, phoenix = (environment(platform.container(task)) for task in ("GatewayTask", "PhoenixTask"))
    assert gateway["DATABASE_NAME"] == phoenix["PHOENIX_POSTGRES_DB"] == "qa_eval"
    assert phoenix["PHOENIX_SQL_DATABASE_SCHEMA"] == "phoenix"
    assert gateway.get("DATABASE_SCHEMA", "public") == "public"


def test_valkey_speaks_tls_with_a_password_to_a_plain_client(platform: Platform) -> None:
    group = platform.only("AWS::ElastiCache::ReplicationGroup")
    assert group["Engine"] == "valkey"
    assert group["TransitEncryptionEnabled"]
    assert group["AtRestEncryptionEnabled"]
    assert "resolve:secretsmanager" in json.dumps(group["AuthToken"])
    assert "NumNodeGroups" not in group, "cluster mode is off: the router's client is a standalone one"
    told = environment(platform.container("GatewayTask"))
    assert (told["REDIS_PORT"], told["REDIS_SSL"]) == ("6379", "true")


def test_target_groups_ask_for_life_and_alarms_for_readiness(platform: Platform) -> None:
    groups = {each["Port"]: each for each in platform.all("AWS::ElasticLoadBalancingV2::TargetGroup").values()}
    assert groups.keys() == {4000, 6006}
    for server, port in PORTS.items():
        assert groups[port]["HealthCheckPath"] == HEALTH[server].liveness
        assert groups[port]["HealthCheckPort"] == str(port)
        assert groups[port]["TargetType"] == "ip"
    probes = json.dumps(platform.only("AWS::Lambda::Function", "Readiness")["Environment"])
    assert HEALTH["litellm"].readiness in probes
    assert f"/phoenix{HEALTH['phoenix'].readiness}" in probes
    not_ready = [each for name, each in platform.all("AWS::CloudWatch::Alarm").items() if "NotReady" in name]
    assert len(not_ready) == 2
    assert all(alarm["TreatMissingData"] == "breaching" for alarm in not_ready)


def test_the_timeouts_reach_from_the_outside_in(platform: Platform) -> None:
    (attributes,) = [
        {each["Key"]: each["Value"] for each in balancer["LoadBalancerAttributes"]}
        for balancer in platform.all("AWS::ElasticLoadBalancingV2::LoadBalancer").values()
    ]
    router = read_config().router_settings
    gateway = router.timeout * (1 + router.num_retries)
    (origin,) = platform.only("AWS::CloudFront::Distribution")["DistributionConfig"]["Origins"]
    balancer_idle = int(attributes["idle_timeout.timeout_seconds"])
    assert origin["VpcOriginConfig"]["OriginReadTimeout"] > balancer_idle > gateway
    assert balancer_idle > origin["VpcOriginConfig"]["OriginKeepaliveTimeout"]
    assert int(environment(platform.container("GatewayTask"))["KEEPALIVE_TIMEOUT"]) > balancer_idle
    function = platform.only("AWS::Lambda::Function", "Chatbot")
    assert function["Timeout"] < budgets.LEX


def test_cloudfront_takes_https_only_caches_nothing_and_hands_everything_on(named_platform: Platform) -> None:
    config = named_platform.only("AWS::CloudFront::Distribution")["DistributionConfig"]
    behavior = config["DefaultCacheBehavior"]
    assert behavior["ViewerProtocolPolicy"] == "redirect-to-https"
    assert behavior["CachePolicyId"] == "4135ea2d-6df8-44a3-9df3-4b5a84be39ad", "CachingDisabled"
    assert behavior["OriginRequestPolicyId"] == "216adef6-5c7f-47e4-b989-5492eafa07d3", "AllViewer"
    assert set(behavior["AllowedMethods"]) == {"GET", "HEAD", "OPTIONS", "PUT", "POST", "PATCH", "DELETE"}
    assert behavior["Compress"] is False
    assert config["ViewerCertificate"]["MinimumProtocolVersion"] == "TLSv1.2_2021"
    assert config["ViewerCertificate"]["SslSupportMethod"] == "sni-only"
    assert config["Aliases"] == ["qa.example.org"]
    assert config["IPV6Enabled"]


def test_with_a_domain_the_origin_is_encrypted_and_both_records_stand(named_platform: Platform) -> None:
    assert named_platform.only("AWS::CloudFront::VpcOrigin")["VpcOriginEndpointConfig"]["OriginProtocolPolicy"] == (
        "https-only"
    )
    listener = named_platform.only("AWS::ElasticLoadBalancingV2::Listener")
    assert (listener["Port"], listener["Protocol"]) == (443, "HTTPS")
    assert "TLS13" in listener["SslPolicy"]
    records = named_platform.all("AWS::Route53::RecordSet").values()
    assert {(each["Type"], each["Name"]) for each in records} == {("A", "qa.example.org."), ("AAAA", "qa.example.org.")}
    certificates = named_platform.all("AWS::CertificateManager::Certificate")
    assert len(certificates) == 2, "one in us-east-1 for CloudFront, one at home for the load balancer"
    assert {each["ValidationMethod"] for each in certificates.values()} == {"DNS"}


def test_zones_are_chosen_by_ids_and_lack_nothing(synthesise: Synthesise) -> None:
    for platform in (
        synthesise(),
        synthesise("architecture=arm64", "region=us-west-2", "name=other", "guardrail_strength=LOW"),
    ):
        subnets = platform.all("AWS::EC2::Subnet").values()
        assert {each["AvailabilityZoneId"] for each in subnets} == set(ZONES[platform.settings.region])
        assert not any("AvailabilityZone" in each for each in subnets)
        assert "Fn::GetAZs" not in json.dumps(platform.home)
    assert not EXCLUDED & {zone for zones in ZONES.values() for zone in zones}


def test_nothing_changes_at_a_vpc_origin_in_use(
    platform: Platform, named_platform: Platform, synthesise: Synthesise
) -> None:
    tagged = synthesise("tags={team: qa}")
    manifest = json.loads((tagged.folder / "manifest.json").read_text())
    stacks = [each for each in manifest["artifacts"].values() if each["type"] == "aws:cloudformation:stack"]
    assert not any(each["properties"].get("tags") for each in stacks), "a stack's own tags reach every resource"
    assert platform.all("AWS::CloudFront::VpcOrigin") == tagged.all("AWS::CloudFront::VpcOrigin")
    plain, encrypted = (each.all("AWS::CloudFront::VpcOrigin") for each in (platform, named_platform))
    assert not plain.keys() & encrypted.keys(), "another protocol is another resource"
    names = [next(iter(each.values()))["VpcOriginEndpointConfig"]["Name"] for each in (plain, encrypted)]
    assert names == ["qa-eval-http", "qa-eval-https"]


def test_no_log_group_has_a_name_that_a_late_line_could_take(platform: Platform) -> None:
    assert not [name for name, each in platform.all("AWS::Logs::LogGroup").items() if "LogGroupName" in each]


def test_without_a_domain_only_the_private_connection_is_plain(platform: Platform) -> None:
    balancer = platform.only("AWS::ElasticLoadBalancingV2::LoadBalancer")
    assert balancer["Scheme"] == "internal"
    (origin,) = [each for each in platform.home["Resources"].values() if each["Type"] == "AWS::CloudFront::VpcOrigin"]
    assert any("VPCGW" in name for name in origin["DependsOn"]), "it wants an internet gateway attached"
    assert not platform.all("AWS::Route53::RecordSet")
    behavior = platform.only("AWS::CloudFront::Distribution")["DistributionConfig"]["DefaultCacheBehavior"]
    assert behavior["ViewerProtocolPolicy"] == "redirect-to-https"


def test_a_public_load_balancer_admits_cloudfront_with_its_secret(synthesise: Synthesise) -> None:
    platform = synthesise(*DOMAIN, "load_balancer=public")
    assert platform.only("AWS::ElasticLoadBalancingV2::LoadBalancer")["Scheme"] == "internet-facing"
    assert not platform.all("AWS::CloudFront::VpcOrigin")
    for rule in platform.all("AWS::ElasticLoadBalancingV2::ListenerRule").values():
        (header,) = [each for each in rule["Conditions"] if each["Field"] == "http-header"]
        assert header["HttpHeaderConfig"]["HttpHeaderName"] == "X-Origin-Secret"
        assert "resolve:secretsmanager" in json.dumps(header["HttpHeaderConfig"]["Values"])
    (origin,) = platform.only("AWS::CloudFront::Distribution")["DistributionConfig"]["Origins"]
    assert origin["CustomOriginConfig"]["OriginProtocolPolicy"] == "https-only"
    (sent,) = origin["OriginCustomHeaders"]
    assert sent["HeaderName"] == "X-Origin-Secret"


def test_only_cloudfront_reaches_the_load_balancer(platform: Platform) -> None:
    rules = platform.all("AWS::EC2::SecurityGroupIngress")
    balancer = [rule for rule in rules.values() if "LoadBalancerGroup" in json.dumps(rule["GroupId"])]
    assert [rule["FromPort"] for rule in balancer] == [80]
    assert "PrefixLists.0.PrefixListId" in json.dumps(balancer[0]["SourcePrefixListId"])
    others = [rule for rule in rules.values() if rule not in balancer]
    assert {rule["ToPort"] for rule in others if isinstance(rule["ToPort"], int)} == {4000, 6006, 6379}
    assert all("SourceSecurityGroupId" in rule for rule in others)
    for group in platform.all("AWS::EC2::SecurityGroup").values():
        assert "SecurityGroupIngress" not in group


def test_the_web_acl_counts_rules_on_bodies_and_limits_addresses(platform: Platform) -> None:
    acl = platform.only("AWS::WAFv2::WebACL")
    assert acl["Scope"] == "CLOUDFRONT"
    counted = {
        override["Name"]
        for rule in acl["Rules"]
        for override in rule["Statement"].get("ManagedRuleGroupStatement", {}).get("RuleActionOverrides", [])
        if override["ActionToUse"] == {"Count": {}}
    }
    assert {"SizeRestrictions_BODY", "CrossSiteScripting_BODY", "Log4JRCE_BODY"} <= counted
    assert all(name.endswith("_BODY") for name in counted)
    (limit,) = [rule["Statement"]["RateBasedStatement"] for rule in acl["Rules"] if rule["Name"] == "RateLimit"]
    fastest = 45 * (1 + 4)  # examples a second, a model call and four records each, as measured on one machine
    assert limit["Limit"] > fastest * limit["EvaluationWindowSec"]
    assert limit["AggregateKeyType"] == "IP"


def test_the_edge_is_handed_over_without_functions_of_cdks_own(named_platform: Platform) -> None:
    config = named_platform.only("AWS::CloudFront::Distribution")["DistributionConfig"]
    for reference in (config["WebACLId"], config["ViewerCertificate"]["AcmCertificateArn"]):
        assert reference["Fn::GetStackOutput"]["Region"] == "us-east-1"
    assert not any("CrossRegion" in name for name in named_platform.home["Resources"])


def test_the_guardrail_is_the_blueprints_and_its_version_reaches_the_gateway(platform: Platform) -> None:
    policy = load_guardrail_policy()
    guardrail = platform.only("AWS::Bedrock::Guardrail")
    assert guardrail["BlockedInputMessaging"] == "Your request contains content that cannot be processed."
    assert guardrail["BlockedOutputsMessaging"] == "The response was filtered due to content policy."
    filters = guardrail["ContentPolicyConfig"]["FiltersConfig"]
    assert {(each["Type"], each["InputStrength"], each["OutputStrength"]) for each in filters} == {
        ("HATE", "HIGH", "HIGH"),
        ("VIOLENCE", "HIGH", "HIGH"),
        ("SEXUAL", "HIGH", "HIGH"),
    }
    pii = guardrail["SensitiveInformationPolicyConfig"]["PiiEntitiesConfig"]
    assert {(each["Type"], each["Action"]) for each in pii} == {("EMAIL", "ANONYMIZE"), ("PHONE", "ANONYMIZE")}
    assert len(filters) == len(policy.content_filters)
    (version,) = platform.all("AWS::Bedrock::GuardrailVersion")
    told = environment(platform.container("GatewayTask"))
    assert told["BEDROCK_GUARDRAIL_VERSION"] == {"Fn::GetAtt": [version, "Version"]}
    assert "GuardrailId" in json.dumps(told["BEDROCK_GUARDRAIL_ID"])


def test_another_strength_is_published_as_another_version(platform: Platform, synthesise: Synthesise) -> None:
    low = synthesise("guardrail_strength=LOW")
    assert {
        each["InputStrength"] for each in low.only("AWS::Bedrock::Guardrail")["ContentPolicyConfig"]["FiltersConfig"]
    } == {"LOW"}
    assert low.all("AWS::Bedrock::GuardrailVersion").keys() != platform.all("AWS::Bedrock::GuardrailVersion").keys()


def statements(platform: Platform, actions: str) -> list[dict[str, Any]]:
    return [
        statement
        for kind in ("AWS::IAM::Policy", "AWS::IAM::Role")
        for policy in platform.all(kind).values()
        for statement in policy.get("PolicyDocument", {}).get("Statement", [])
        if actions in json.dumps(statement["Action"])
    ]


def test_the_gateway_may_call_exactly_the_models_of_its_configuration(platform: Platform) -> None:
    (invoke,) = statements(platform, "bedrock:InvokeModel")
    resources = [json.dumps(each) for each in invoke["Resource"]]
    for entry in read_config().model_list:
        model = entry.litellm_params.model.removeprefix("bedrock/")
        assert any(model.removeprefix("us.") in each for each in resources), model
    assert len(resources) == 4 * (1 + 4) + 1, "four profiles with four regions each, and Titan at home"
    assert not any("*" in each for each in resources)
    (apply,) = statements(platform, "bedrock:ApplyGuardrail")
    assert apply["Resource"] == {"Fn::GetAtt": [next(iter(platform.all("AWS::Bedrock::Guardrail"))), "GuardrailArn"]}


def test_a_smaller_configuration_needs_fewer_permissions(
    synthesise: Synthesise, platform: Platform, tmp_path: Any
) -> None:
    content = platform.settings.config_file.read_text()
    path = tmp_path / "config.yaml"
    path.write_text(content.replace("us.anthropic.claude-sonnet-4-6", "us.amazon.nova-lite-v1:0"))
    (invoke,) = statements(synthesise(f"config={path}"), "bedrock:InvokeModel")
    assert "sonnet" not in json.dumps(invoke)


def test_stars_stand_only_where_no_name_is_known(platform: Platform) -> None:
    starred = {
        action
        for policy in platform.all("AWS::IAM::Policy").values()
        for statement in policy["PolicyDocument"]["Statement"]
        if statement["Resource"] == "*" and statement["Effect"] == "Allow"
        for action in ([statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"])
    }
    assert starred <= {"ec2:DescribeManagedPrefixLists"}


def test_alarms_reach_a_person_and_a_dashboard_shows_them(synthesise: Synthesise) -> None:
    platform = synthesise("alarm_email=a@example.org")
    alarms = platform.all("AWS::CloudWatch::Alarm")
    for each in ("BalancerErrors", "LitellmErrors", "PhoenixErrors", "Latency", "LitellmUnhealthy", "PhoenixUnhealthy",
                 "LitellmMemory", "PhoenixMemory", "DatabaseCapacity", "GuardrailBlocks", "Throttles"):  # fmt: skip
        (alarm,) = [properties for name, properties in alarms.items() if f"Operations{each}" in name]
        assert alarm["AlarmActions"]
        assert alarm["AlarmDescription"]
    (topic,) = platform.all("AWS::SNS::Subscription").values()
    assert (topic["Protocol"], topic["Endpoint"]) == ("email", "a@example.org")
    assert len(platform.all("AWS::CloudWatch::Dashboard")) == 1
    budget = platform.only("AWS::Budgets::Budget")["Budget"]
    assert budget["BudgetLimit"] == {"Amount": 300, "Unit": "USD"}


def test_alarms_may_publish_to_the_topic(platform: Platform) -> None:
    statements = platform.only("AWS::SNS::TopicPolicy")["PolicyDocument"]["Statement"]
    (allowed,) = [each for each in statements if each["Effect"] == "Allow"]
    assert (allowed["Action"], allowed["Principal"]) == ("sns:Publish", {"Service": "cloudwatch.amazonaws.com"})
    assert allowed["Condition"] == {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}


def test_network_settings_all_reach_the_registries(synthesise: Synthesise, platform: Platform) -> None:
    assert len(platform.all("AWS::EC2::NatGateway")) == 1
    assert len(synthesise("nat_gateways=2").all("AWS::EC2::NatGateway")) == 2
    public = synthesise("egress=public")
    assert not public.all("AWS::EC2::NatGateway")
    for service in public.all("AWS::ECS::Service").values():
        assert service["NetworkConfiguration"]["AwsvpcConfiguration"]["AssignPublicIp"] == "ENABLED"
    endpoints = synthesise("vpc_endpoints=true")
    assert len(endpoints.all("AWS::EC2::VPCEndpoint")) == 4
    assert endpoints.all("AWS::EC2::NatGateway"), "images come from public registries"


def test_the_chatbot_holds_a_key_of_its_own(platform: Platform) -> None:
    bot = platform.only("AWS::Lex::Bot")
    assert bot["Name"] == "QAAssistant"
    function = platform.only("AWS::Lambda::Function", "Chatbot")
    key = json.dumps(function["Environment"]["Variables"]["LITELLM_API_KEY_SECRET_ARN"])
    assert "ChatbotKey" in key
    assert "MasterKey" not in json.dumps(platform.only("AWS::IAM::Policy", "ChatbotFunctionRole"))


@pytest.mark.parametrize("chatbot", [True, False])
def test_the_outputs_are_those_that_the_library_reads(chatbot: bool, synthesise: Synthesise) -> None:
    told = synthesise(f"chatbot={str(chatbot).lower()}").home["Outputs"].keys()
    wanted = {value for name, value in vars(outputs).items() if name.isupper() and name != "DESCRIPTION"}
    assert wanted <= told
    assert ({"ChatbotBotId", "ChatbotAliasId"} <= told) == chatbot


def test_everything_is_tagged(synthesise: Synthesise) -> None:
    platform = synthesise("tags={team: qa}")
    tags = platform.only("AWS::RDS::DBCluster")["Tags"]
    assert {"Key": "project", "Value": "qa-eval"} in tags
    assert {"Key": "team", "Value": "qa"} in tags
