"""`POST /v1/models/NAME`: another model in place of the one that is served under this name."""

import asyncio
import tempfile
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
            with storage_errors(model.path), tempfile.TemporaryFile(dir=model.path.parent) as file:
                async for piece in request.stream():
                    file.write(piece)
                file.seek(0)
                return json_response(await self._replace(model, file))
        except StorageError as error:
            raise without_path(error, model.name) from error

    async def _replace(self, model: ServedModel, file: BinaryIO) -> dict[str, object]:
        # a client that goes away does not stop what has begun
        new, former = await asyncio.shield(asyncio.ensure_future(self._updates.replace(model.name, file)))
        return described(new) | {"former_digest": former.digest}
