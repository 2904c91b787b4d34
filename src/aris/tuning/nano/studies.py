"""Made-up studies for the training of `aris-nano`: an abstract, a question on it, and yes, no or maybe.

Few abstracts with an expert's answer exist, and a small model learns their subject rather than how results decide a
question. These are written by a grammar in the project's own words: subjects, numbers and outcomes are random and mean
nothing; only the way from the result to the answer is real (a clear difference, none, or a mixed image).
"""

from __future__ import annotations

import random
from typing import Literal

Decision = Literal["yes", "no", "maybe"]

_TREATMENTS = (
    "early physiotherapy", "oral zinc", "a nurse-led clinic", "intravenous iron", "low-dose aspirin", "vitamin D",
    "preoperative warming", "local anaesthetic infiltration", "a telephone reminder", "music during the procedure",
    "inhaled budesonide", "a mediterranean diet", "supervised exercise", "prophylactic antibiotics", "acupuncture",
    "laparoscopic repair", "delayed cord clamping", "perioperative dexamethasone", "melatonin", "tranexamic acid",
    "mesh reinforcement", "early enteral feeding", "cognitive behavioural therapy", "compression stockings",
    "regional anaesthesia", "magnesium sulphate", "an educational video", "probiotic supplementation",
)  # fmt: skip
_EXPOSURES = (
    "obesity", "maternal smoking", "raised serum ferritin", "sleep duration", "night shift work", "low birth weight",
    "depressive symptoms", "serum uric acid", "alcohol use", "distance to the hospital", "male sex",
    "social deprivation",
    "hospital volume", "a family history of diabetes", "preoperative anaemia", "red cell distribution width",
    "helicobacter infection", "surgeon experience", "weekend admission", "hearing loss", "thyroid antibodies",
    "body mass index", "previous abortion", "plasma homocysteine", "season of birth", "chronic kidney disease",
)  # fmt: skip
_OUTCOMES = (
    "postoperative pain", "length of stay", "wound infection", "readmission", "mortality", "nausea and vomiting",
    "blood loss", "preterm birth", "anxiety", "the recurrence rate", "hospital costs", "graft failure", "delirium",
    "fracture risk", "quality of life scores", "blood pressure", "kidney function", "disease severity", "fatigue",
    "school performance", "the complication rate", "progression-free survival", "insulin resistance", "stroke",
    "pneumonia", "the need for transfusion", "functional recovery", "treatment adherence", "carotid wall thickness",
)  # fmt: skip
_PEOPLE = (
    "children with asthma", "patients after hip fracture", "women with gestational diabetes", "adults with epilepsy",
    "patients undergoing colorectal surgery", "preterm infants", "elderly inpatients", "patients with heart failure",
    "adolescents", "patients with chronic hepatitis", "kidney transplant recipients", "primary care patients",
    "patients with breast cancer", "critically ill patients", "patients with rheumatoid arthritis", "nurses",
    "patients with localized prostate cancer", "women in labour", "patients with acute appendicitis", "veterans",
)  # fmt: skip
_TESTS = (
    "ultrasound", "serum procalcitonin", "the bedside swallow test", "magnetic resonance imaging", "frozen section",
    "a short questionnaire", "urine dipstick testing", "capsule endoscopy", "the fibrosis index", "a "
    "handheld spirometer",
    "plasma lactate", "fine needle aspiration", "a risk score", "the walk test", "teledermatology", "saliva sampling",
)  # fmt: skip
_DISEASES = (
    "appendicitis", "sepsis", "aspiration", "lymph node metastasis", "osteoporosis", "liver fibrosis", "melanoma",
    "urinary tract infection", "pulmonary embolism", "coeliac disease", "dementia", "endometriosis", "heart failure",
    "ventilator-associated infection", "obstructive sleep apnoea", "rotator cuff tears", "neonatal jaundice",
)  # fmt: skip
_DESIGNS = (
    "We reviewed the records of {n} {people} treated between {y} and {z}.",
    "In a prospective cohort study, {n} {people} were followed for {months} months.",
    "{n} {people} were enrolled in a randomized controlled trial.",
    "A cross-sectional survey of {n} {people} was carried out in {y}.",
    "Data on {n} {people} were taken from a national registry.",
    "This case-control study included {n} {people}. Logistic regression was used to adjust for age and sex.",
    "A total of {n} {people} from {c} centres took part. Outcomes were assessed by blinded observers.",
)
_ASIDE = (
    "The mean age was {age} years and {percent}% were women.",
    "Baseline characteristics did not differ between the groups.",
    "The median follow-up was {months} months.",
    "{percent}% of those invited responded.",
    "No patient was lost to follow-up.",
    "Age and sex were similar in both groups (p = {high}).",
)

_Random = random.Random


def study(source: _Random) -> tuple[str, list[str], Decision]:
    """Make up a study: a question, the parts of an abstract, and the abstract's answer."""
    decision: Decision = source.choices(("yes", "no", "maybe"), (0.45, 0.4, 0.15))[0]
    write = source.choices((_effect, _association, _equal, _diagnosis, _safety, _practice), (5, 6, 1, 2, 2, 2))[0]
    people = source.choice(_PEOPLE)
    question, aim, result = write(source, people, decision)
    numbers = _numbers(source)
    design = source.choice(_DESIGNS).format(people=people, **numbers)
    asides = [each.format(**numbers) for each in source.sample(_ASIDE, source.randint(0, 2))]
    results = [*asides, result] if source.random() < 0.7 else [result, *asides]
    return question, [aim, design[0].upper() + design[1:], " ".join(results)], decision


def _numbers(r: _Random) -> dict[str, str]:
    year = r.randint(1992, 2008)
    return {
        "n": f"{r.randint(24, 980)}",
        "y": f"{year}",
        "z": f"{year + r.randint(1, 8)}",
        "months": f"{r.randint(3, 72)}",
        "c": f"{r.randint(2, 14)}",
        "age": f"{r.uniform(20, 75):.1f}",
        "percent": f"{r.randint(22, 88)}",
        "high": f"0.{r.randint(12, 95):02d}",
    }


def _small_p(r: _Random) -> str:
    found = (f"p = 0.0{r.randint(1, 4)}", f"P = .00{r.randint(1, 9)}")
    return r.choice(("p < 0.001", "P<.001", *found, "p<0.01", "P < 0.05"))


def _large_p(r: _Random) -> str:
    return r.choice((f"p = 0.{r.randint(12, 95)}", f"P = .{r.randint(15, 95)}", "p > 0.05", "P=NS", "not significant"))


def _two(r: _Random, apart: bool) -> tuple[str, str]:
    """Draw two percentages, the second larger, far apart or nearly the same."""
    low = r.uniform(4, 40)
    high = low * r.uniform(1.5, 2.6) if apart else low + r.uniform(0.1, 1.6)
    return f"{low:.1f}%", f"{high:.1f}%"


def _effect(r: _Random, people: str, decision: Decision) -> tuple[str, str, str]:
    treatment, outcome, other = r.choice(_TREATMENTS), *r.sample(_OUTCOMES, 2)
    question = r.choice(
        (
            f"Does {treatment} affect {outcome} in {people}?",
            f"Does {treatment} improve {outcome} in {people}?",
            f"Is {treatment} effective for {outcome} in {people}?",
            f"Can {treatment} influence {outcome} in {people}?",
            f"{treatment[0].upper()}{treatment[1:]} in {people}: does it change {outcome}?",
            f"Is there a benefit of {treatment} in {people}?",
        )
    )
    aim = r.choice(
        (
            f"To determine whether {treatment} changes {outcome} in {people}.",
            f"The effect of {treatment} on {outcome} in {people} is unclear.",
            f"{treatment[0].upper()}{treatment[1:]} is widely used in {people}, but its value is debated.",
        )
    )
    low, high = _two(r, decision == "yes")
    if decision == "yes":
        result = r.choice(
            (
                f"With {treatment}, {outcome} improved significantly compared with controls ({_small_p(r)}).",
                f"{outcome[0].upper()}{outcome[1:]}: {low} with {treatment} against {high} without ({_small_p(r)}).",
                f"There was a significant difference in {outcome} in favour of {treatment} ({low} vs {high}, "
                f"{_small_p(r)}).",
                f"Patients given {treatment} did better with regard to {outcome} ({_small_p(r)}). The effect "
                f"remained after adjustment.",
            )
        )
    elif decision == "no":
        result = r.choice(
            (
                f"There was no significant difference in {outcome} between the groups ({low} vs {high}, "
                f"{_large_p(r)}).",
                f"{outcome[0].upper()}{outcome[1:]} did not differ with {treatment} ({_large_p(r)}).",
                f"{treatment[0].upper()}{treatment[1:]} had no effect on {outcome} ({low} against {high}; "
                f"{_large_p(r)}).",
                f"Rates were similar: {low} with {treatment} and {high} without ({_large_p(r)}).",
            )
        )
        if r.random() < 0.4:
            result += f" A difference was seen only for {other} ({_small_p(r)})."
    else:
        result = r.choice(
            (
                f"There was a trend towards better {outcome} with {treatment} (p = 0.0{r.randint(6, 9)}).",
                f"In the subgroup of older patients {outcome} improved ({_small_p(r)}), in the others it did not "
                f"({_large_p(r)}).",
                f"{outcome[0].upper()}{outcome[1:]} improved at first ({_small_p(r)}), but not at the end of "
                f"follow-up ({_large_p(r)}).",
            )
        )
    return question, aim, result


def _association(r: _Random, people: str, decision: Decision) -> tuple[str, str, str]:
    exposure, outcome, other = r.choice(_EXPOSURES), *r.sample(_OUTCOMES, 2)
    question = r.choice(
        (
            f"Is {exposure} associated with {outcome} in {people}?",
            f"Is there a relationship between {exposure} and {outcome}?",
            f"Does {exposure} predict {outcome} in {people}?",
            f"Is {exposure} a risk factor for {outcome} in {people}?",
            f"Does {exposure} influence {outcome}?",
            f"{exposure[0].upper()}{exposure[1:]} and {outcome} in {people}: is there a link?",
            f"Is {exposure} an independent predictor of {outcome}?",
        )
    )
    aim = r.choice(
        (
            f"To examine whether {exposure} is related to {outcome} in {people}.",
            f"Little is known about {exposure} and {outcome} in {people}.",
            f"{exposure[0].upper()}{exposure[1:]} has been suggested to play a role in {outcome}.",
        )
    )
    ratio = r.uniform(1.5, 4.2)
    if decision == "yes":
        result = r.choice(
            (
                f"{exposure[0].upper()}{exposure[1:]} was significantly associated with {outcome} (odds ratio "
                f"{ratio:.1f}, 95% confidence interval {ratio * 0.72:.1f} to {ratio * 1.5:.1f}).",
                f"On multivariate analysis {exposure} was an independent predictor of {outcome} (HR {ratio:.2f}; "
                f"{_small_p(r)}).",
                f"There was a significant correlation between {exposure} and {outcome} (r = "
                f"0.{r.randint(35, 78)}, {_small_p(r)}).",
                f"{outcome[0].upper()}{outcome[1:]} was more common with {exposure} than without "
                f"({_two(r, True)[1]} vs {r.randint(2, 9)}%, {_small_p(r)}).",
            )
        )
    elif decision == "no":
        flat = r.uniform(0.85, 1.2)
        result = r.choice(
            (
                f"{exposure[0].upper()}{exposure[1:]} was not associated with {outcome} (odds ratio {flat:.2f}, "
                f"95% confidence interval {flat * 0.7:.2f} to {flat * 1.45:.2f}).",
                f"No correlation was found between {exposure} and {outcome} (r = 0.0{r.randint(1, 9)}, {_large_p(r)}).",
                f"After adjustment {exposure} did not predict {outcome} ({_large_p(r)}).",
                f"{outcome[0].upper()}{outcome[1:]} was equally frequent with and without {exposure} ({_large_p(r)}).",
            )
        )
        if r.random() < 0.4:
            result += f" Age was the only significant factor for {other} ({_small_p(r)})."
    else:
        result = r.choice(
            (
                f"{exposure[0].upper()}{exposure[1:]} was associated with {outcome} on univariate ({_small_p(r)}) "
                f"but not on multivariate analysis ({_large_p(r)}).",
                f"An association with {outcome} was seen in men ({_small_p(r)}) and not in women ({_large_p(r)}).",
                f"The association between {exposure} and {outcome} was of borderline significance (p = "
                f"0.0{r.randint(5, 8)}).",
            )
        )
    return question, aim, result


def _equal(r: _Random, people: str, decision: Decision) -> tuple[str, str, str]:
    (one, two), outcome = r.sample(_TREATMENTS, 2), r.choice(_OUTCOMES)
    question = r.choice(
        (
            f"Are {one} and {two} equally effective in {people}?",
            f"Is {one} as good as {two} in {people}?",
            f"Is {one} a valid alternative to {two}?",
        )
    )
    aim = f"To compare {one} with {two} in {people}."
    low, high = _two(r, decision == "no")
    if decision == "yes":
        result = (
            f"With regard to {outcome} there was no difference between {one} and {two} ({low} vs {high}, "
            f"{_large_p(r)})."
        )
    elif decision == "no":
        result = (
            f"{outcome[0].upper()}{outcome[1:]} was significantly worse with {one} than with {two} "
            f"({_small_p(r)})."
        )
    else:
        result = (
            f"{one[0].upper()}{one[1:]} and {two} did not differ in {outcome} ({_large_p(r)}), but more "
            f"patients stopped {one} early ({_small_p(r)})."
        )
    return question, aim, result


def _diagnosis(r: _Random, people: str, decision: Decision) -> tuple[str, str, str]:
    test, disease = r.choice(_TESTS), r.choice(_DISEASES)
    question = r.choice(
        (
            f"Is {test} useful for the diagnosis of {disease}?",
            f"Can {test} detect {disease} in {people}?",
            f"Is {test} reliable in {people} with suspected {disease}?",
            f"{test[0].upper()}{test[1:]} for {disease}: is it accurate enough?",
        )
    )
    aim = f"To assess the accuracy of {test} for {disease} in {people}."
    good, poor = (r.randint(86, 99), r.randint(86, 99)), (r.randint(31, 62), r.randint(38, 66))
    if decision == "yes":
        result = r.choice(
            (
                f"Sensitivity and specificity were {good[0]}% and {good[1]}%, the area under the curve "
                f"0.{r.randint(90, 98)}.",
                f"{test[0].upper()}{test[1:]} identified {good[0]}% of cases, with few false positives. Agreement "
                f"with the reference was excellent (kappa 0.{r.randint(80, 95)}).",
            )
        )
    elif decision == "no":
        result = r.choice(
            (
                f"Sensitivity and specificity were only {poor[0]}% and {poor[1]}%, the area under the curve "
                f"0.{r.randint(50, 61)}.",
                f"{test[0].upper()}{test[1:]} missed {100 - poor[0]}% of cases, and agreement with the reference "
                f"was poor (kappa 0.{r.randint(5, 30)}).",
            )
        )
    else:
        result = f"Sensitivity was {good[0]}%, but specificity was {poor[1]}%. Accuracy varied between observers."
    return question, aim, result


def _safety(r: _Random, people: str, decision: Decision) -> tuple[str, str, str]:
    treatment = r.choice(_TREATMENTS)
    question = r.choice(
        (
            f"Is {treatment} safe in {people}?",
            f"Is {treatment} feasible and safe in {people}?",
            f"Should {treatment} be offered to {people}?",
            f"Is {treatment} justified in {people}?",
        )
    )
    aim = f"We report our experience with {treatment} in {people}."
    if decision == "yes":
        result = r.choice(
            (
                f"{treatment[0].upper()}{treatment[1:]} was completed in {r.randint(94, 100)}%. No serious "
                f"adverse event occurred and results were good in {r.randint(88, 99)}%.",
                f"Complications were rare ({r.uniform(0.3, 2.9):.1f}%) and minor, and no patient died.",
            )
        )
    elif decision == "no":
        result = r.choice(
            (
                f"Serious complications occurred in {r.randint(24, 48)}% and treatment had to be stopped in "
                f"{r.randint(18, 40)}%.",
                f"Morbidity was high ({r.randint(28, 55)}%), and outcome was no better than without ({_large_p(r)}).",
            )
        )
    else:
        result = (
            f"Results were good in {r.randint(52, 66)}%, but complications occurred in {r.randint(11, 21)}%. "
            f"Outcome depended on the selection of patients."
        )
    return question, aim, result


def _practice(r: _Random, people: str, decision: Decision) -> tuple[str, str, str]:
    subject = r.choice(("guidelines on", "the indications for", "the risks of", "recommendations for"))
    treatment = r.choice(_TREATMENTS)
    who = r.choice(("general practitioners", "residents", "medical students", "nurses", "surgeons", people))
    question = r.choice(
        (
            f"Do {who} know {subject} {treatment}?",
            f"Do {who} follow {subject} {treatment}?",
            f"{subject[0].upper()}{subject[1:]} {treatment}: are {who} aware of them?",
        )
    )
    aim = f"To assess what {who} know and do about {treatment}."
    share = {"yes": r.randint(82, 97), "no": r.randint(6, 31), "maybe": r.randint(45, 58)}[decision]
    result = {
        "yes": f"{share}% gave correct answers or acted accordingly, in all groups alike.",
        "no": f"Only {share}% gave correct answers, and most did not act accordingly.",
        "maybe": f"{share}% gave correct answers; knowledge was good for some items and poor for others.",
    }[decision]
    return question, aim, result
