"""The chatbot on AWS: an Amazon Lex bot, and a Lambda function that gets its answers from the gateway.

In: the gateway's URL and key. Out: the bot, its alias, and the outputs that `qa-eval chat --stack` reads.
"""

from __future__ import annotations

import hashlib
import json

from aws_cdk import Aws, CfnOutput, Duration, IgnoreMode, RemovalPolicy, Stack
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_lex as lex
from aws_cdk import aws_logs as logs
from aws_cdk import aws_secretsmanager as secretsmanager
from aws_cdk import aws_sns as sns
from constructs import Construct

from qa_eval.blueprint import bot as blueprint
from qa_eval.blueprint import budgets
from qa_eval.blueprint.chatbot.messages import SORRY


class Chatbot(Construct):
    """The Lex bot `QAAssistant`, its version and alias, the function behind it, logs and alarms."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        gateway_url: str,
        key_secret: secretsmanager.ISecret,
        model: str,
        alarm_topic: sns.ITopic | None = None,
        log_retention: logs.RetentionDays = logs.RetentionDays.ONE_MONTH,
        architecture: lambda_.Architecture = lambda_.Architecture.X86_64,
    ) -> None:
        """
        Args:
            scope: The stack, or a construct in it.
            id: The construct's name in its scope.
            gateway_url: The gateway's public URL.
            key_secret: The secret whose value is the gateway's key.
            model: The model group that answers.
            alarm_topic: The topic to which alarms are sent.
            log_retention: Retention of the function's and the conversations' logs.
            architecture: The function's processor architecture.
        """
        super().__init__(scope, id)
        self.function = self._function(log_retention, architecture)
        self.function.add_environment("LITELLM_ENDPOINT", gateway_url)
        self.function.add_environment("LITELLM_MODEL", model)
        self.function.add_environment("LITELLM_API_KEY_SECRET_ARN", key_secret.secret_arn)
        key_secret.grant_read(self.function)
        self.bot = self._bot()
        self.alias = self._alias(self._version(), log_retention)
        self.function.add_permission(
            "Lex", principal=iam.ServicePrincipal("lexv2.amazonaws.com"), source_arn=self.alias.attr_arn
        )
        self.alarms = self._alarms(alarm_topic)
        self._output(blueprint.BOT_OUTPUT, self.bot.attr_id)
        self._output(blueprint.ALIAS_OUTPUT, self.alias.attr_bot_alias_id)
        self._output(blueprint.MODEL_OUTPUT, model)

    def _function(self, log_retention: logs.RetentionDays, architecture: lambda_.Architecture) -> lambda_.Function:
        self.log_group = self._log_group("FunctionLogs", log_retention)
        role = iam.Role(self, "FunctionRole", assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"))
        self.log_group.grant_write(role)
        return lambda_.Function(
            self,
            "Function",
            description="Fulfils the Lex bot's turns through the LiteLLM gateway",
            code=lambda_.Code.from_asset(
                str(blueprint.asset_root()),
                exclude=["/*", f"!/{blueprint.ASSET_PACKAGE}", "__pycache__", "*.pyc"],
                ignore_mode=IgnoreMode.GIT,
            ),
            handler=blueprint.HANDLER,
            runtime=lambda_.Runtime.PYTHON_3_14,
            architecture=architecture,
            memory_size=512,
            timeout=Duration.seconds(budgets.LAMBDA),
            role=role,
            log_group=self.log_group,
            logging_format=lambda_.LoggingFormat.JSON,
            application_log_level_v2=lambda_.ApplicationLogLevel.INFO,
            system_log_level_v2=lambda_.SystemLogLevel.WARN,
        )

    def _bot(self) -> lex.CfnBot:
        self._bot_role = iam.Role(
            self,
            "BotRole",
            assumed_by=iam.ServicePrincipal(
                "lexv2.amazonaws.com", conditions={"StringEquals": {"aws:SourceAccount": Aws.ACCOUNT_ID}}
            ),
        )
        return lex.CfnBot(
            self,
            "Bot",
            name=blueprint.BOT_NAME,
            description="Answers questions through the LiteLLM gateway",
            role_arn=self._bot_role.role_arn,
            data_privacy={"ChildDirected": False},
            idle_session_ttl_in_seconds=blueprint.IDLE_SESSION_S,
            auto_build_bot_locales=True,
            bot_locales=[_locale()],
        )

    def _version(self) -> lex.CfnBotVersion:
        """A snapshot of the bot; its logical id has a digest of the content: a changed bot gets a new version."""
        content = Stack.of(self).resolve([self.bot.bot_locales, self.bot.data_privacy, blueprint.IDLE_SESSION_S])
        digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
        return lex.CfnBotVersion(
            self,
            f"Version{digest[:12]}",
            bot_id=self.bot.attr_id,
            bot_version_locale_specification=[
                lex.CfnBotVersion.BotVersionLocaleSpecificationProperty(
                    locale_id=blueprint.LOCALE,
                    bot_version_locale_details=lex.CfnBotVersion.BotVersionLocaleDetailsProperty(
                        source_bot_version="DRAFT"
                    ),
                )
            ],
        )

    def _alias(self, version: lex.CfnBotVersion, log_retention: logs.RetentionDays) -> lex.CfnBotAlias:
        """The alias that clients call; it also enables the code hook, besides the intents."""
        self.conversations = self._log_group("Conversations", log_retention, masked=True)
        self.conversations.grant_write(self._bot_role)
        hook = lex.CfnBotAlias.LambdaCodeHookProperty(
            code_hook_interface_version="1.0", lambda_arn=self.function.function_arn
        )
        alias = lex.CfnBotAlias(
            self,
            "Alias",
            bot_id=self.bot.attr_id,
            bot_alias_name="live",
            bot_version=version.attr_bot_version,
            bot_alias_locale_settings=[
                lex.CfnBotAlias.BotAliasLocaleSettingsItemProperty(
                    locale_id=blueprint.LOCALE,
                    bot_alias_locale_setting=lex.CfnBotAlias.BotAliasLocaleSettingsProperty(
                        enabled=True,
                        code_hook_specification=lex.CfnBotAlias.CodeHookSpecificationProperty(lambda_code_hook=hook),
                    ),
                )
            ],
            conversation_log_settings=_text_logs(self.conversations),
        )
        alias.node.add_dependency(self._bot_role)
        return alias

    def _log_group(self, name: str, retention: logs.RetentionDays, *, masked: bool = False) -> logs.LogGroup:
        """A log group that is deleted with the stack; `masked` masks e-mail addresses and phone numbers in it."""
        identifiers = [logs.DataIdentifier.EMAILADDRESS, logs.DataIdentifier.PHONENUMBER_US]
        policy = logs.DataProtectionPolicy(identifiers=identifiers) if masked else None
        return logs.LogGroup(
            self, name, retention=retention, removal_policy=RemovalPolicy.DESTROY, data_protection_policy=policy
        )

    def _alarms(self, topic: sns.ITopic | None) -> tuple[cloudwatch.Alarm, ...]:
        """Alarms: the function failed or was throttled, or several turns in five minutes had no answer."""
        unanswered = self.log_group.add_metric_filter(
            "Unanswered",
            filter_pattern=logs.FilterPattern.string_value("$.level", "=", "ERROR"),
            metric_namespace="qa-eval",
            metric_name=f"{Aws.STACK_NAME}-chatbot-unanswered",
        )
        period = Duration.minutes(5)
        alarms = (
            self._alarm("Errors", self.function.metric_errors(period=period), 1, "The chatbot's function failed."),
            self._alarm("Throttles", self.function.metric_throttles(period=period), 1, "Chatbot turns were refused."),
            self._alarm(
                "NoAnswers", unanswered.metric(period=period, statistic="Sum"), 5, "Chatbot turns had no answer."
            ),
        )
        for alarm in alarms:
            if topic:
                alarm.add_alarm_action(actions.SnsAction(topic))
        return alarms

    def _alarm(self, name: str, metric: cloudwatch.Metric, threshold: int, meaning: str) -> cloudwatch.Alarm:
        return cloudwatch.Alarm(
            self,
            name,
            metric=metric,
            threshold=threshold,
            evaluation_periods=1,
            comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
            treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
            alarm_description=meaning,
        )

    def _output(self, name: str, value: str) -> None:
        CfnOutput(self, name, value=value).override_logical_id(name)


def _locale() -> lex.CfnBot.BotLocaleProperty:
    """The bot's language, with the fallback intent for every message and the custom intent that Lex requires."""
    hook = _hook()
    return lex.CfnBot.BotLocaleProperty(
        locale_id=blueprint.LOCALE,
        nlu_confidence_threshold=0.4,
        intents=[
            lex.CfnBot.IntentProperty(
                name=blueprint.ASK_INTENT,
                description="A question is announced",
                sample_utterances=[
                    lex.CfnBot.SampleUtteranceProperty(utterance=utterance) for utterance in blueprint.UTTERANCES
                ],
                fulfillment_code_hook=hook,
            ),
            lex.CfnBot.IntentProperty(
                name=blueprint.FALLBACK_INTENT,
                description="Every question",
                parent_intent_signature="AMAZON.FallbackIntent",
                fulfillment_code_hook=hook,
            ),
        ],
    )


def _hook() -> lex.CfnBot.FulfillmentCodeHookSettingProperty:
    """The code hook; Lex sends a message of its own only if the function fails or times out."""
    sorry = lex.CfnBot.ResponseSpecificationProperty(
        message_groups_list=[
            lex.CfnBot.MessageGroupProperty(
                message=lex.CfnBot.MessageProperty(plain_text_message=lex.CfnBot.PlainTextMessageProperty(value=SORRY))
            )
        ]
    )
    return lex.CfnBot.FulfillmentCodeHookSettingProperty(
        enabled=True,
        post_fulfillment_status_specification=lex.CfnBot.PostFulfillmentStatusSpecificationProperty(
            failure_response=sorry, timeout_response=sorry
        ),
    )


def _text_logs(group: logs.LogGroup) -> lex.CfnBotAlias.ConversationLogSettingsProperty:
    destination = lex.CfnBotAlias.TextLogDestinationProperty(
        cloud_watch=lex.CfnBotAlias.CloudWatchLogGroupLogDestinationProperty(
            cloud_watch_log_group_arn=group.log_group_arn, log_prefix="lex/"
        )
    )
    return lex.CfnBotAlias.ConversationLogSettingsProperty(
        text_log_settings=[lex.CfnBotAlias.TextLogSettingProperty(enabled=True, destination=destination)]
    )
