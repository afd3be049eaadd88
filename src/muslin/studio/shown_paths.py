"""Messages for a page, without the folders of this machine: they may lie outside of what the studio serves."""

from pathlib import Path
from typing import Any

from muslin.messages import Message


def without_folders(message: Message) -> Message:
    """The message with the name of each file or folder in place of its absolute path."""
    return Message(message.code, message.hint_code, **{name: _shown(value) for name, value in message.params.items()})


def _shown(value: Any) -> Any:
    return Path(value).name if isinstance(value, str) and Path(value).is_absolute() else value
