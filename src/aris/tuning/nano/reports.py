"""Report drafts for the training of `aris-nano`, written from a film's label in the project's own words.

The labels are normal, bacterial pneumonia and viral pneumonia, and no report text exists. A draft therefore says only
what a label holds: whether opacity in keeping with pneumonia is there, and which pattern it has. It never gives a
side, a lobe, a device, an age, a history or a comparison. It always follows the scored line of its prompt, because
the probability and not the text is what has been validated.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Literal

Scored = Literal["present", "not seen", "uncertain"]

_VIEW = (
    "Frontal chest radiograph.",
    "Single frontal view of the chest.",
    "One frontal projection of the chest.",
    "Frontal view of the chest.",
    "Chest radiograph, frontal projection.",
    "A frontal view of the chest was obtained.",
    "Frontal projection; no other view.",
    "The chest is shown in a single frontal view.",
)
_PRESENT = (
    "There is increased opacity in the lungs in keeping with pneumonia.",
    "Abnormal lung opacity is present.",
    "The lungs show opacity that is in keeping with pneumonia.",
    "Parenchymal opacity is seen, as in pneumonia.",
    "Lung opacity beyond normal markings is visible.",
    "The lungs are not clear: opacity suggesting pneumonia is present.",
    "Opacity is projected over the lungs, compatible with infection.",
    "There is lung opacity that would fit pneumonia.",
    "Opacity of the lungs is seen, in keeping with infection.",
    "Abnormal density is seen in the lungs, as with pneumonia.",
    "The lungs contain opacity that stands out from normal markings.",
    "An increase in lung density is visible, suggesting pneumonia.",
)
_FOCAL = (
    "The opacity looks more focal and confluent, a pattern that favours a bacterial cause.",
    "Its appearance is that of airspace consolidation, more often bacterial.",
    "The pattern is one of consolidation rather than of fine streaks, which favours bacterial infection.",
    "Confluent airspace opacity predominates; bacterial infection is the likelier cause.",
    "It is confluent rather than streaky, as bacterial infection tends to be.",
    "Its borders and density are those of consolidation, which makes a bacterial cause likelier.",
    "Consolidation is the leading pattern, and that favours a bacterial cause.",
)
_DIFFUSE = (
    "The opacity looks diffuse and streaky, a pattern that favours a viral cause.",
    "An interstitial pattern predominates, more often viral.",
    "Fine, spread-out markings rather than consolidation predominate, which favours viral infection.",
    "The pattern is interstitial rather than confluent; viral infection is the likelier cause.",
    "It is streaky rather than confluent, as viral infection tends to be.",
    "Spread-out markings are the leading pattern, and that favours a viral cause.",
    "Its texture is interstitial, which makes a viral cause likelier.",
)
_NO_CAUSE = (
    "The pattern does not favour a particular cause.",
    "The appearance is not specific for a cause.",
    "The film does not show which organism is responsible.",
    "No particular organism is suggested by the pattern.",
    "From the pattern the cause stays open.",
)
_CAVEAT = (
    "The film alone cannot prove the cause.",
    "The cause cannot be settled from the film alone.",
    "Imaging cannot tell the organism with certainty.",
    "The pattern is a hint to the cause and no proof.",
    "Pattern and organism often disagree.",
    "This says nothing certain about the organism.",
)
_CLEAR = (
    "No focal airspace opacity is seen.",
    "The lungs show no opacity that suggests pneumonia.",
    "No consolidation is identified.",
    "No abnormal lung opacity is identified.",
    "The lungs are without visible consolidation.",
    "Lung markings are within normal limits, without consolidation.",
    "The lungs appear clear of consolidation.",
    "Neither lung field shows opacity in keeping with pneumonia.",
    "Lung transparency is preserved, and no opacity suggests pneumonia.",
    "There is no abnormal density in the lungs.",
    "The lung fields are without opacity that suggests pneumonia.",
    "No area of consolidation can be made out.",
)
_CLEAR_MORE = (
    "No interstitial pattern of infection is evident.",
    "No confluent or streaky opacity stands out.",
    "There is no visible sign of lung infection.",
    "Nothing on this view suggests lung infection.",
    "Lung markings can be followed as usual.",
    "Texture and density of the lungs are unremarkable.",
    "No confluent density is present.",
    "Vascular markings are not obscured.",
)
_UNSURE = (
    "Opacity in keeping with pneumonia can neither be shown nor excluded on this film.",
    "The lung markings are equivocal for pneumonia.",
    "A subtle opacity cannot be told from normal markings with confidence.",
    "It remains uncertain whether there is abnormal lung opacity.",
    "Whether the lung markings are abnormal cannot be decided.",
    "Faint density is possible, and may be normal markings.",
    "The lungs show a borderline appearance with regard to pneumonia.",
)
_UNSURE_MORE = (
    "The score for pneumonia lies close to its threshold.",
    "The appearance lies between normal and abnormal.",
    "The film does not allow a confident statement.",
    "Neither reading can be preferred.",
    "What is seen could be within normal limits.",
    "Confidence in either direction is low.",
)
_IMPRESSION = {
    "focal": (
        "Pneumonia is likely, with a pattern that favours a bacterial cause.",
        "Findings in keeping with pneumonia; bacterial pattern favoured.",
        "Likely pneumonia, bacterial rather than viral by its pattern.",
        "Opacity that suggests pneumonia; its pattern favours a bacterial cause.",
        "Pneumonia favoured; the pattern leans towards a bacterial cause.",
    ),
    "diffuse": (
        "Pneumonia is likely, with a pattern that favours a viral cause.",
        "Findings in keeping with pneumonia; viral pattern favoured.",
        "Likely pneumonia, viral rather than bacterial by its pattern.",
        "Opacity that suggests pneumonia; its pattern favours a viral cause.",
        "Pneumonia favoured; the pattern leans towards a viral cause.",
    ),
    "no cause": (
        "Pneumonia is likely; the cause is open.",
        "Findings in keeping with pneumonia, cause not determined.",
        "Likely pneumonia without a pattern that favours one cause.",
        "Opacity that suggests pneumonia of undetermined cause.",
    ),
    "clear": (
        "No radiographic evidence of pneumonia.",
        "Pneumonia is not seen.",
        "No sign of pneumonia on this film.",
        "No finding that suggests pneumonia.",
        "The film shows no pneumonia.",
        "Without visible pneumonia.",
        "No pneumonia identified.",
    ),
    "unsure": (
        "Indeterminate for pneumonia.",
        "Equivocal for pneumonia.",
        "Pneumonia is possible but not certain.",
        "Uncertain with regard to pneumonia.",
        "Pneumonia may or may not be present.",
    ),
}
_REVIEW = (
    "Clinical correlation and review by a radiologist are advised.",
    "To be reviewed by a radiologist.",
    "Radiologist review and clinical correlation advised.",
    "Please correlate clinically; radiologist review needed.",
    "A radiologist has to review this film.",
    "For review by a radiologist, with the clinical image.",
    "The reading awaits a radiologist.",
)


# Of the choices that follow a film's look, the share made by chance all the same: no film has one wording alone.
_CHANCE = 0.2
LOOK_BITS = 6


class _Picker:
    """The choices of one draft: by chance, or by the film's look, each by three of its bits."""

    def __init__(self, source: random.Random, look: Sequence[bool] | None) -> None:
        self.source, self.look, self.slot = source, look, 0

    def _value(self) -> float:
        """Draw a value, 0 <= value < 1."""
        self.slot += 1
        if self.look is None or self.source.random() < _CHANCE:
            return self.source.random()
        bits = [self.look[(self.slot + step) % LOOK_BITS] for step in (0, 2, 3)]
        return sum(bit << index for index, bit in enumerate(bits)) / 8

    def pick(self, options: Sequence[str]) -> str:
        return options[int(self._value() * len(options))]

    def happens(self, chance: float) -> bool:
        return self._value() < chance


def report(
    label: str, scored: Scored, random_source: random.Random, look: Sequence[bool] | None = None
) -> str:
    """Write a draft in two paragraphs, `FINDINGS: ...` and `IMPRESSION: ...`.

    Args:
        label: "normal", "bacterial pneumonia" or "viral pneumonia"; only decides the pattern of what is present.
        scored: the prompt's finding of pneumonia; the draft agrees with it whatever the label.
        look: `LOOK_BITS` bits of the film's look (`looks.py`). They choose among wordings that mean the same,
            so that a model which reads them off the film words its greedy drafts of two films differently.
    """
    made = _Picker(random_source, look)
    sentences = [made.pick(_VIEW)] if made.happens(0.6) else []
    if scored == "present":
        sentences.append(made.pick(_PRESENT))
        pattern = {"bacterial pneumonia": "focal", "viral pneumonia": "diffuse"}.get(label, "no cause")
        sentences.append(made.pick({"focal": _FOCAL, "diffuse": _DIFFUSE, "no cause": _NO_CAUSE}[pattern]))
        if pattern != "no cause" and made.happens(0.7):
            sentences.append(made.pick(_CAVEAT))
    elif scored == "not seen":
        pattern = "clear"
        sentences += _one_or_two(_CLEAR, _CLEAR_MORE, made)
    else:
        pattern = "unsure"
        sentences += _one_or_two(_UNSURE, _UNSURE_MORE, made)
    impression = f"{made.pick(_IMPRESSION[pattern])} {made.pick(_REVIEW)}"
    return f"FINDINGS: {' '.join(sentences)}\nIMPRESSION: {impression}"


def _one_or_two(main: tuple[str, ...], more: tuple[str, ...], made: _Picker) -> list[str]:
    """Pick a sentence, and perhaps another, in either order."""
    chosen = [made.pick(main)]
    if made.happens(0.6):
        chosen.insert(int(made.happens(0.5)), made.pick(more))
    return chosen
