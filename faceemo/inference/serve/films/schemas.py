"""Schemas of the API's responses about films."""

from typing import Literal

from pydantic import BaseModel, Field


class FilmTrack(BaseModel):
    """One face of a film."""

    track: int = Field(description="Its number, the `track` of its predictions, from 1.")
    begin: float = Field(description="The second at which it is first seen.")
    end: float = Field(description="The second from which it is not seen any more.")
    seconds: float = Field(description="How long it is seen, in seconds.")
    frames: int = Field(description="The number of frames in which it is seen.")
    shares: dict[str, float] = Field(
        description="The share of `seconds` for each class, and for 'unsure'; the sum is 1."
    )
    thumbnail: str = Field(description="A picture of the face, a JPEG as data URI.")


class FilmState(BaseModel):
    """The state of a film, and what is known about its faces when it is done."""

    id: str = Field(description="The id of the film, for the other requests about it.")
    name: str = Field(description="The name of its file, as the request gives it.")
    status: Literal["waiting", "running", "done", "failed"] = Field(
        description="Whether it is waiting for other films, being predicted on, done, or failed "
        "with a `problem`."
    )
    problem: str = Field(
        description="Why it failed, or what is missing from a film that is done; otherwise empty."
    )
    every: int = Field(
        description="The step between the frames that are predicted on; 0 until it is known."
    )
    frames: int = Field(description="The number of frames that are predicted on so far.")
    frame_count: int | None = Field(
        description="The number of frames to predict on; null if it is not known."
    )
    seconds_left: float | None = Field(
        description="Estimated seconds until it is done; null if that is not known."
    )
    tracks: list[FilmTrack] = Field(description="Its faces, by number, once it is done.")
