"""Images with planted identifiers: in every kind of place of a header, and as text in the pixels."""

from __future__ import annotations

import random
import string
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from pydicom import Dataset
from pydicom.datadict import DicomDictionary, keyword_for_tag
from pydicom.uid import ExplicitVRLittleEndian

from dicom_objects import image

# One word per object, planted everywhere: what is given out must not hold it.
_TEXTS = ("LO", "SH", "ST", "LT", "UT", "UC", "PN")
_PLACES = [
    keyword_for_tag(tag)
    for tag, (vr, _, _, retired, _) in DicomDictionary.items()
    if vr in _TEXTS and not retired and 0x0008 <= tag >> 16 <= 0x0040
]


def word(rng: random.Random) -> str:
    return "Zq" + "".join(rng.choices(string.ascii_lowercase, k=8))


def planted(seed: int, *, burn: bool = False, side: int = 64) -> tuple[Any, str, str]:
    """An image, the word that is planted in its header, and the text that is burned into its pixels."""
    rng = random.Random(seed)
    secret = word(rng)
    made = image(seed + 1, study=seed % 7 + 1, side=side, Modality=rng.choice(["DX", "CR", "CT", "MR", "US"]))
    made.PatientName, made.PatientID = f"{secret}^Given^Mid", f"{secret}-{seed}"
    made.PatientBirthDate, made.PatientAge = "19310507", "093Y"
    for keyword in rng.sample(_PLACES, 25):
        if keyword not in ("PatientName", "PatientID", "SpecificCharacterSet"):
            setattr(made, keyword, secret)
    made.preamble = secret.encode().ljust(128, b"\0")
    made.file_meta.SourceApplicationEntityTitle = secret
    made.file_meta.PrivateInformationCreatorUID, made.file_meta.PrivateInformation = "1.2.3", secret.encode()
    block = made.private_block(0x0011 + 2 * rng.randrange(4), secret, create=True)
    block.add_new(0x01, "LO", secret)
    block.add_new(0x02, "OB", secret.encode() + b" " * (len(secret) % 2))
    nested = Dataset()
    nested.CodeValue, nested.CodingSchemeDesignator, nested.CodeMeaning = "1", "99LOCAL", secret
    deeper = Dataset()
    deeper.PersonName, deeper.TextValue, deeper.ReferringPhysicianName = secret, secret, secret
    nested.AnatomicRegionModifierSequence = [deeper]
    made.AnatomicRegionSequence = [nested]
    made.RequestAttributesSequence, made.OtherPatientIDsSequence = [deeper], [deeper]
    inner = Dataset()
    inner.FrameAcquisitionDateTime, inner.FrameComments = "20200101", secret
    functional = Dataset()
    functional.FrameContentSequence = [inner]
    made.SharedFunctionalGroupsSequence = [functional]
    mistyped = rng.choice(["CS", "element of a name"])
    if mistyped == "CS":
        made.BodyPartExamined = secret.upper()  # a name where a code should be
    else:
        made.ImageType = ["ORIGINAL", "PRIMARY", secret.upper()]
    made.add_new(0x60003000, "OW", secret.encode() + b" " * (len(secret) % 2))
    made.add_new(0x60004000, "LO", secret)
    made.add_new(0x00290010, "LO", secret)
    made.add_new(0xFFFCFFFC, "OB", secret.encode() + b" " * (len(secret) % 2))
    burned = ""
    if burn:
        burned, _ = burn_in(made, rng)
    return made, secret, burned


def burn_in(made: Any, rng: random.Random) -> tuple[str, Any]:
    """Write a name, a number or a date into the pixels, at a place and size by chance.

    Returns:
        the text, and where its letters are: bool (H, W).
    """
    side = int(made.Rows)
    text = rng.choice([
        f"{rng.choice(['MEYER', 'OKAFOR', 'NGUYEN', 'KOWALSKI'])}^{rng.choice(['ANNA', 'JOHN', 'LINH'])}",
        f"ID {rng.randrange(10**6, 10**8)}",
        f"DOB {rng.randrange(1, 29):02}.{rng.randrange(1, 13):02}.{rng.randrange(1930, 2020)}",
    ])  # fmt: skip
    size = rng.choice([14, 18, 24, 32])
    # Ground like tissue: smooth, with grain.
    noise = np.random.default_rng(rng.randrange(10**6))
    y, x = np.mgrid[0:side, 0:side] / side
    ground = 900 + 900 * np.sin(3 * x + rng.random()) * np.cos(4 * y) + noise.normal(0, 40, (side, side))
    mask = Image.new("L", (side, side))
    pen = ImageDraw.Draw(mask)
    font = ImageFont.load_default(size)
    width = int(pen.textlength(text, font)) + 4
    place = rng.randrange(4, max(5, side - width - 4)), rng.randrange(4, side - size - 8)
    pen.text(place, text, fill=255, font=font)
    ink = rng.choice([4095, 3600, 0])
    alpha = np.asarray(mask) / 255
    pixels = np.clip(ground * (1 - alpha) + ink * alpha, 0, 4095).astype(np.uint16)
    made.PixelData = pixels.tobytes()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return text, alpha > 0.3
