"""Series, images and frames as the viewer gets them."""

from __future__ import annotations

from typing import Literal

from aris.service.workspace.schemas.common import Sent

Calibration = Literal["calibrated", "at detector", "pixels only"]
Dtype = Literal["uint8", "int16", "uint16", "float32"]
Box = tuple[float, float, float, float]


class Window(Sent):
    """A window of display. `function` is that of VOI LUT Function (PS3.3 C.11.2.1.3)."""

    center: float
    width: float
    name: str
    function: Literal["LINEAR", "LINEAR_EXACT", "SIGMOID"] = "LINEAR"


class ImageTurn(Sent):
    """The turn to the view that readers are used to: rows become columns, then their orders are reversed."""

    transpose: bool
    flip_rows: bool
    flip_columns: bool


class ImageInfo(Sent):
    """A frame of an image. `frame` is from 1. `notes` say what a reader must know of its grey values."""

    uid: str
    frame: int
    rows: int
    columns: int
    samples: Literal[1, 3]
    dtype: Dtype
    unit: str
    inverted: bool
    window: list[Window]
    least: float | None
    greatest: float | None
    spacing: tuple[float, float] | None
    calibration: Calibration
    calibration_note: str
    calibrated_within: list[Box]
    orientation: tuple[float, float, float, float, float, float] | None
    position: tuple[float, float, float] | None
    patient_orientation: tuple[str, str] | None
    turn: ImageTurn | None
    frame_of_reference: str
    number: str
    laterality: str
    view: str
    cine_rate: float | None
    lossy: bool
    notes: list[str]
    problem: str


class OtherObject(Sent):
    """An object of a series that is no image."""

    uid: str
    sop_class: str
    kind: Literal["sr", "gsps", "document", "other"]
    label: str


class SeriesImages(Sent):
    """A series, in the order of display."""

    uid: str
    modality: str
    description: str
    images: list[ImageInfo]
    other: list[OtherObject]


class Graphic(Sent):
    """A mark that another system drew, in pixels of the stored image."""

    source: str
    kind: Literal["point", "polyline", "circle", "ellipse", "text"]
    image: str
    frame: int | None
    points: list[tuple[float, float]]
    closed: bool
    text: str


class DocumentLine(Sent):
    """A line of a structured report: how deep it lies, its name and its text."""

    depth: int
    name: str
    text: str


class DocumentMeasurement(Sent):
    """A measurement of a structured report."""

    name: str
    value: float
    unit: str
    of: str


class OutsideDocument(Sent):
    """A document that another system made, as text."""

    uid: str
    title: str
    kind: Literal["sr", "gsps", "document", "other"]
    maker: str
    verified: bool
    complete: bool
    lines: list[DocumentLine]
    measurements: list[DocumentMeasurement]
    graphics: list[Graphic]
