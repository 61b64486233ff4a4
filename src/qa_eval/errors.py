"""Every error that a user can meet, in one hierarchy.

Each message is one sentence that says what is wrong and what to do; the command prints it and ends with
the error's exit code.

    QaEvalError                  2  the user can mend it
     ├─ InputError               2  an argument, a file or a setting is wrong
     │   └─ DatasetError         2  a dataset is missing, broken or empty
     ├─ GatewayError             2  the gateway is not there or refuses us
     ├─ ChatbotError             2  the chatbot cannot be found or reached
     ├─ PhoenixError             2  Phoenix is not there or refuses us
     │   └─ PhoenixUnavailable   2  Phoenix does not answer now; what it lacks can be recorded later
     ├─ StackError               2  the local stack cannot be built, started or stopped
     ├─ ClusterError             2  the Ray cluster cannot be used
     ├─ DeploymentError          2  the platform on AWS cannot be made, found or changed
     ├─ RulesBroken              1  a rule is broken
     ├─ StoppedEarly             3  a limit ended the run; what was received is kept
     └─ Interrupted            130  Ctrl-C; what was received is kept
"""

from __future__ import annotations


class QaEvalError(Exception):
    """The base of all errors that carry a sentence for the user."""

    exit_code = 2


class InputError(QaEvalError):
    """An argument, a file or a setting is wrong."""


class DatasetError(InputError):
    """A dataset is missing, broken or empty; where it can be, the first broken example is named."""


class GatewayError(QaEvalError):
    """The gateway cannot be reached, refuses the key, or does not know the model."""


class ChatbotError(QaEvalError):
    """The deployed chatbot cannot be found or reached, or refuses the message."""


class PhoenixError(QaEvalError):
    """Phoenix cannot be reached or refuses what was sent."""


class PhoenixUnavailable(PhoenixError):
    """Phoenix does not answer, or only with server errors: trying again later may help."""


class StackError(QaEvalError):
    """The local stack cannot be built, started or stopped."""


class DeploymentError(QaEvalError):
    """The platform on AWS cannot be made, found or changed."""


class RulesBroken(QaEvalError):
    """What was measured breaks a rule of the user's."""

    exit_code = 1


class ClusterError(QaEvalError):
    """The Ray cluster cannot be reached, has no room, or does not fit this version."""


class StoppedEarly(QaEvalError):
    """A limit ended the run before all questions were asked; what was received is kept."""

    exit_code = 3


class Interrupted(QaEvalError):
    """The user interrupted the run; what was received is kept."""

    exit_code = 130
