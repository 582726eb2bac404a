"""Serve searches over HTTP: ``uvicorn service:app``."""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import FileResponse

import retrieval

app = FastAPI()
photos = retrieval.open("photos/")  # one for all threads, and for every worker that is forked later


@app.get("/search")
def by_words(q: str, k: int = 10) -> list[dict[str, Any]]:
    """Find images by words; FastAPI calls this in a thread of its pool."""
    try:
        return photos.search(q, k=k).to_dicts()
    except retrieval.RetrievalError as error:
        raise HTTPException(400, str(error)) from error


@app.post("/search")
async def by_image(request: Request, k: int = 10) -> list[dict[str, Any]]:
    """Find images by the one in the request's body; other requests are answered meanwhile."""
    image = retrieval.image(await request.body())
    try:
        return (await asyncio.to_thread(photos.search, image, k=k)).to_dicts()
    except retrieval.RetrievalError as error:
        raise HTTPException(400, str(error)) from error


@app.get("/images/{number}")
def original(number: int) -> FileResponse:
    """Send the file of a hit's id."""
    try:
        return FileResponse(photos[number].file)
    except retrieval.RetrievalError as error:
        raise HTTPException(404, str(error)) from error


@app.post("/refresh")
def refresh() -> bool:
    """Show what was built since; searches that are under way end undisturbed."""
    return photos.refresh()
