"""`POST /v1/models/NAME`: another model in place of the one that is served under this name."""

import asyncio
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from muslin.errors import MuslinError, StorageError
from muslin.server.model_updates import ModelUpdates, without_path
from muslin.server.models import ModelTable, ServedModel
from muslin.server.predict_routes import described
from muslin.server.responses import json_response
from muslin.server.settings import Settings
from muslin.storage.atomic import storage_errors


class Replacing:
    """The route that replaces models."""

    def __init__(self, settings: Settings, models: ModelTable, updates: ModelUpdates) -> None:
        self._has_token, self._models, self._updates = bool(settings.token), models, updates

    def routes(self) -> list[Route]:
        return [Route("/v1/models/{name}", self.replace, methods=["POST"])]

    async def replace(self, request: Request) -> Response:
        """Serve the .muslin file of the body; the response comes once all workers do.

        Raises:
            BundleError: the file cannot be used; the model that was served still is.
            MuslinError: there is no such model, or the server has no token, so that anybody could replace models.
            StorageError: the model's file cannot be written.
        """
        model = self._models.find(request.path_params["name"])
        if not self._has_token:
            raise MuslinError("replace_without_token")
        try:
            with storage_errors(model.path):
                file = await _received(request, model.path.parent)
                # a client that goes away does not stop what has begun
                new, former = await asyncio.shield(asyncio.ensure_future(self._replace(model.name, file)))
        except StorageError as error:
            raise without_path(error, model.name) from error
        return json_response(described(new) | {"former_digest": former.digest})

    async def _replace(self, name: str, file: BinaryIO) -> tuple[ServedModel, ServedModel]:
        with file:
            return await self._updates.replace(name, file)


async def _received(request: Request, folder: Path) -> BinaryIO:
    """A file without a name that holds the body of a request.

    Args:
        folder: on whose disk it takes place.
    """
    with ExitStack() as opened:
        file = opened.enter_context(tempfile.TemporaryFile(dir=folder))
        async for piece in request.stream():
            file.write(piece)
        file.seek(0)
        opened.pop_all()
        return file
