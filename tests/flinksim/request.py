"""One request to the simulated cluster, whatever transport it came by.

Used by: `rest.py` and its parts.
"""

import email.parser
import email.policy
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.flinksim.reply import Reply, Response

if TYPE_CHECKING:
    from tests.flinksim.cluster import FlinkSim


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """Method, path without prefix (unquoted), query and body."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    content: bytes = b""
    content_type: str = ""

    @property
    def body(self) -> dict[str, Any]:
        """The JSON body; empty when there is none."""
        loaded = json.loads(self.content) if self.content.strip() else {}
        return loaded if isinstance(loaded, dict) else {}

    def files(self) -> list[tuple[str, bytes]]:
        """Names and contents of the parts of a multipart body that are files."""
        head = f"Content-Type: {self.content_type}\r\n\r\n".encode()
        message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + self.content)
        parts = message.iter_parts() if message.is_multipart() else ()
        named = ((part.get_filename(), part.get_payload(decode=True)) for part in parts)
        return [(name, content) for name, content in named if name and isinstance(content, bytes)]


Handler = Callable[["FlinkSim", Request, Mapping[str, str]], Response | Reply]
Route = tuple[str, str, Handler]
