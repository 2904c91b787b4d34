"""Boxes in every form that models write them, and their way back to the pixels of the image."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aris.prompting.processor import pad_to_square
from aris.tasks.text.boxes import WrittenBox, parse_boxes, source_box

GOOD = '{"box_2d": [120, 340, 460, 710], "label": "heart"}'


@pytest.mark.parametrize(
    "text",
    [
        f"```json[{GOOD}]```",
        f"```json\n[{GOOD}]\n```",
        f"[{GOOD}]",
        GOOD,
        f'{{"boxes": [{GOOD}]}}',
        f"The heart lies left of the midline [see above].\nFinal Answer: ```json[{GOOD}]```",
        f'Reasoning: {{"box_2d": [1, 2, 3, 4], "label": "wrong"}}. Final Answer: [{GOOD}] I am sure.',
        "[{'box_2d': [120, 340, 460, 710], 'label': 'heart'}]",
        '[{"box_2d": [120, 340, 460, 710,], "label": "heart",},]',
        '[{"box_2d": [120.0, 340.0, 460.0, 710.0], "label": "heart"}]',
        '[{"label": "heart", "box_2d": [120, 340, 460, 710]}',
        '[{"label": "heart", "box_2d": [120, 340, 460, 710]}, {"label": "lung", "bo',
        '[{"box_2d": [120, 340, 460, 710], "label": "heart"',
        '{box_2d: [120, 340, 460, 710], label: "heart"}',
        '[{"bbox": [120, 340, 460, 710], "name": "heart"}]',
        '[{"box_2d": [[120, 340, 460, 710]], "label": "heart"}]',
        '[{"box_2d": ["120", "340", "460", "710"], "label": "heart"}]',
        '[{"box_2d": [0.120, 0.340, 0.460, 0.710], "label": "heart"}]',
        '[{"box_2d": [460, 710, 120, 340], "label": "heart"}]',
    ],
)
def test_a_box_is_read_in_whatever_form(text: str) -> None:
    boxes, dropped = parse_boxes(text)
    assert [(b.top, b.left, b.bottom, b.right, b.label) for b in boxes] == [(120, 340, 460, 710, "heart")]
    assert not dropped


def test_repairs_are_told() -> None:
    (swapped,), _ = parse_boxes('[{"box_2d": [460, 340, 120, 710], "label": "heart"}]')
    assert swapped.repaired == "corners were swapped" and swapped.top < swapped.bottom
    (clipped,), _ = parse_boxes('[{"box_2d": [-10, 0, 400, 1010], "label": "heart"}]')
    assert (clipped.top, clipped.right, clipped.repaired) == (0, 1000, "clipped to the image")
    assert parse_boxes(GOOD)[0][0].repaired == ""


@pytest.mark.parametrize(
    ("box", "reason"),
    [
        ("[1, 2, 3]", "3 numbers, not 4"),
        ("[1, 2, 3, 4, 5]", "5 numbers, not 4"),
        ("[5, 5, 5, 9]", "it has no area"),
        ("[0, 0, 2000, 10]", "coordinates outside 0 to 1000"),
        ("[-900, 0, 20, 10]", "coordinates outside 0 to 1000"),
        ('["a", 1, 2, 3]', "its coordinates are not numbers"),
        ("[null, 1, 2, 3]", "its coordinates are not numbers"),
        ("[1e999, 1, 2, 3]", "its coordinates are not numbers"),
        ('"all of it"', "0 numbers, not 4"),
    ],
)
def test_every_box_that_is_dropped_is_reported(box: str, reason: str) -> None:
    boxes, dropped = parse_boxes(f'[{{"box_2d": {box}, "label": "x"}}, {GOOD}]')
    assert [b.label for b in boxes] == ["heart"]
    assert [each.reason for each in dropped] == [reason]
    assert dropped[0].written and len(dropped[0].written) <= 80


def test_duplicates_and_the_cut_end_are_reported() -> None:
    boxes, dropped = parse_boxes(f"[{GOOD}, {GOOD}, " + '{"label": "lung", "box_2d": [12, 3')
    assert len(boxes) == 1
    assert [each.reason for each in dropped] == ["the same box as before", "the answer was cut within it"]


def test_two_lists_are_both_read() -> None:
    boxes, _ = parse_boxes(f'[{GOOD}] and [{{"box_2d": [1, 2, 30, 40], "label": "clavicle"}}]')
    assert [b.label for b in boxes] == ["heart", "clavicle"]


@pytest.mark.parametrize("text", ["", "I see no such thing.", "[1, 2, 3, 4]", "{}", "[[[[", '{"a": {"b": 1}}'])
def test_no_box_is_no_box(text: str) -> None:
    assert parse_boxes(text) == ((), ())


@given(st.text(alphabet='[]{}",:\'0123456789.-eboxlabl_2dFinal Answer`\n', max_size=200))
def test_nothing_upsets_the_parser(text: str) -> None:
    for box in parse_boxes(text)[0]:
        assert 0 <= box.top < box.bottom <= 1000 and 0 <= box.left < box.right <= 1000


@pytest.mark.parametrize(("height", "width"), [(300, 200), (200, 300), (201, 300), (300, 201), (256, 256)])
def test_a_box_finds_its_way_back_from_the_padded_square(height: int, width: int) -> None:
    pixels = np.zeros((height, width), dtype=np.uint8)
    top, left, bottom, right = 40, 30, 90, 120
    pixels[top:bottom, left:right] = 255
    square = pad_to_square(pixels)
    side = len(square)
    rows, columns = np.flatnonzero(square.any(axis=1)), np.flatnonzero(square.any(axis=0))
    y0, y1, x0, x1 = (1000 * v / side for v in (rows[0], rows[-1] + 1, columns[0], columns[-1] + 1))
    found = source_box(WrittenBox(y0, x0, y1, x1, "bright"), height, width)
    assert found == pytest.approx((left, top, right, bottom), abs=1e-6)


def test_a_box_in_the_padding_alone_is_none() -> None:
    assert source_box(WrittenBox(0, 0, 100, 1000, "x"), 100, 1000) is None
    assert source_box(WrittenBox(0, 0, 1000, 1000, "x"), 100, 1000) == (0, 0, 1000, 100)
