"""Clinical scores against their published tables, worked examples and a second implementation."""

from __future__ import annotations

import ast
import csv
import math
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import score_oracles as oracle
from hypothesis import given
from hypothesis import strategies as st

from aris.records.scores import (
    Creatinine,
    Point,
    UrineSpan,
    bedside_schwartz,
    ckd_epi_2021,
    cockcroft_gault,
    egfr_slope,
    kdigo,
    largest_change,
    mdrd,
    news2,
    qsofa,
    shock_index,
    sirs,
    theil_sen,
)
from aris.records.scores import formulas as f

NOW = datetime(2024, 5, 10, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
WELL = {
    "respiratory_rate": 16, "spo2": 98, "supplemental_oxygen": False, "systolic": 120, "pulse": 70, "alert": True,
    "temperature": 37.0, "age": 60,
}  # fmt: skip


def scr(hours_ago: float, value: float, unit: str = "mg/dL", id: str = "") -> Creatinine:
    return Creatinine(NOW - hours_ago * HOUR, value, unit, id)


@given(
    st.integers(2, 60), st.integers(60, 100), st.booleans(), st.integers(40, 260), st.integers(20, 200), st.booleans(),
    st.integers(320, 420), st.booleans(),
)  # fmt: skip
def test_news2_equals_the_chart_read_row_by_row(rr, spo2, oxygen, sbp, pulse, alert, tenths, scale_2):
    score = news2(
        respiratory_rate=rr, spo2=spo2, supplemental_oxygen=oxygen, systolic=sbp, pulse=pulse, alert=alert,
        temperature=tenths / 10, age=40, scale_2=scale_2,
    )  # fmt: skip
    assert score.value == oracle.news2_total(rr, spo2, oxygen, sbp, pulse, alert, tenths / 10, scale_2)


def test_news2_with_a_missing_parameter_is_the_least_it_can_be_and_says_so():
    score = news2(**{**WELL, "respiratory_rate": 26, "alert": None})
    assert score.value == 3 and score.missing == ("consciousness",) and score.is_lower_bound
    assert score.note == "low-medium"


@pytest.mark.parametrize(
    ("change", "reason"), [({"age": 15}, "16"), ({"age": None}, "age"), ({"pregnant": True}, "pregnancy")]
)
def test_news2_outside_its_scope_has_no_value(change, reason):
    score = news2(**{**WELL, **change})
    assert score.value is None and reason in score.reason


def test_news2_of_nothing_is_not_zero():
    score = news2(age=50)
    assert score.value is None and len(score.missing) == 7


def test_news2_levels():
    assert news2(**WELL).note == "low"
    assert news2(**{**WELL, "pulse": 115, "temperature": 39.2, "respiratory_rate": 18, "spo2": 95}).note == "medium"
    assert news2(**{**WELL, "pulse": 135, "systolic": 88, "spo2": 95}).note == "high"


def test_qsofa_and_sirs_at_their_edges():
    assert qsofa(respiratory_rate=22, systolic=100, gcs=14, age=50).value == 3
    assert qsofa(respiratory_rate=21, systolic=101, gcs=15, age=50).value == 0
    assert qsofa(respiratory_rate=30, systolic=90, gcs=3, age=17).value is None
    edge = {"temperature": 38.0, "pulse": 90, "respiratory_rate": 20, "leukocytes": 12.0, "age": 50}
    assert sirs(**edge).value == 0
    past = {"temperature": 38.1, "pulse": 91, "respiratory_rate": 21, "leukocytes": 12.1, "age": 50}
    assert sirs(**past).value == 4
    assert sirs(temperature=37, pulse=80, respiratory_rate=12, pco2=31.9, bands=11, age=50).value == 2
    assert "only screen" in qsofa(respiratory_rate=22, age=50).note
    assert shock_index(pulse=100, systolic=100, age=40).value == 1.0
    assert shock_index(pulse=100, age=40).missing == ("systolic pressure",)


CREATININES = st.lists(
    st.tuples(st.integers(0, 24 * 400), st.integers(3, 90)), min_size=1, max_size=12, unique_by=lambda each: each[0]
)


@given(CREATININES)
def test_kdigo_by_creatinine_equals_a_second_implementation_in_both_units(rows):
    samples = [(NOW - hours * HOUR, tenths / 10) for hours, tenths in rows]
    expected = oracle.kdigo_stage(samples, NOW)
    in_mg = kdigo([Creatinine(at, value, "mg/dL") for at, value in samples], NOW)
    in_umol = kdigo([Creatinine(at, round(value * 88.4, 1), "umol/L") for at, value in samples], NOW)
    in_mmol = kdigo([Creatinine(at, value * 0.0884, "mmol/L") for at, value in samples], NOW)
    assert in_mg.score.value == expected
    assert in_umol.score.value == expected
    assert in_mmol.score.value == expected


@pytest.mark.parametrize(
    ("values", "stage"),
    [
        # (hours ago, mg/dL) ...; KDIGO 2012, table 2
        ([(47, 1.0), (0, 1.3)], 1),  # 0.3 within 48 hours
        ([(49, 1.0), (0, 1.3)], 0),  # 0.3, but not within 48 hours
        ([(47, 1.0), (0, 1.29)], 0),
        ([(167, 1.0), (0, 1.5)], 1),  # 1.5 times within 7 days
        ([(167, 1.0), (0, 2.0)], 2),
        ([(167, 1.0), (0, 3.0)], 3),
        ([(24, 3.6), (0, 4.0)], 3),  # 4.0 after an acute rise
        ([(24, 4.2), (0, 4.2)], 0),  # 4.0 without one is no acute injury
        ([(24 * 100, 1.0), (0, 1.6)], 1),  # a presumed baseline
        ([(24 * 100, 1.0), (12, 3.0), (0, 3.1)], 3),  # the second high value is no recovery
        ([(24 * 100, 1.0), (12, 3.0), (0, 1.2)], 0),  # this one is
        ([(24 * 100, 1.0), (24 * 12, 2.0), (24 * 6, 2.0), (0, 2.1)], 0),  # high for longer than 7 days
        ([(24 * 100, 1.0), (0, 1.4)], 0),
    ],
)
def test_kdigo_windows(values, stage):
    assert kdigo([scr(*each) for each in values], NOW).score.value == stage


def test_kdigo_says_which_results_it_rests_on_and_why():
    found = kdigo([scr(40, 1.0, id="a"), scr(20, 0.9, id="b"), scr(1, 1.9, id="c")], NOW)
    assert found.score.value == 2 and set(found.resources) == {"b", "c"}
    assert "48 hours" in found.score.note and "2.1 times" in found.score.note
    assert not found.presumed_baseline
    assert kdigo([scr(24 * 30, 1.0), scr(1, 2.5)], NOW).presumed_baseline


def test_kdigo_is_not_assessable_where_it_cannot_be_known():
    assert "baseline" in kdigo([scr(1, 2.0)], NOW).score.reason
    assert "48 hours" in kdigo([scr(100, 1.0), scr(49, 3.0)], NOW).score.reason
    assert "dialysis" in kdigo([scr(47, 1.0), scr(0, 5.0)], NOW, chronic_dialysis=True).score.reason
    assert kdigo([], NOW).score.value is None
    assert kdigo([], NOW, kidney_replacement=True).score.value == 3


def test_kdigo_does_not_look_ahead():
    assert kdigo([scr(47, 1.0), scr(1, 1.1), scr(-1, 5.0)], NOW).score.value == 0


def hours_of(ml: list[float]) -> list[UrineSpan]:
    """Hourly urine that ends at NOW."""
    last = len(ml)
    return [UrineSpan(NOW - (last - i) * HOUR, NOW - (last - i - 1) * HOUR, each) for i, each in enumerate(ml)]


@pytest.mark.parametrize(
    ("ml", "stage"),
    [
        ([40.0] * 6, 0),  # 0.5 mL/kg/h exactly at 80 kg
        ([39.0] * 6, 1),
        ([60.0] * 6 + [30.0] * 6, 1),
        ([35.0] * 12, 2),
        ([23.0] * 24, 3),
        ([60.0] * 12 + [0.0] * 12, 3),  # anuria
        ([10.0] * 5, None),  # six hours are not covered
    ],
)
def test_kdigo_by_urine(ml, stage):
    assert kdigo([], NOW, urine=hours_of(ml), weight_kg=80).by_urine == stage


def test_hours_without_an_entry_are_not_hours_without_urine():
    spans = hours_of([60.0] * 12)
    assert kdigo([], NOW, urine=spans[:3] + spans[8:], weight_kg=80).by_urine is None
    assert kdigo([], NOW, urine=spans).by_urine is None  # no weight


def test_kdigo_takes_the_worse_of_creatinine_and_urine():
    found = kdigo([scr(30, 1.0, id="a"), scr(1, 1.4, id="b")], NOW, urine=hours_of([20.0] * 12), weight_kg=80)
    assert (found.by_creatinine, found.by_urine, found.score.value) == (1, 2, 2)


@given(st.integers(2, 150), st.integers(18, 100), st.booleans())
def test_ckd_epi_equals_its_four_branches_in_every_unit(tenths, age, female):
    mg, sex = tenths / 10, "female" if female else "male"
    expected = oracle.ckd_epi(mg, age, female)
    for value, unit in ((mg, "mg/dL"), (mg * 88.4, "umol/L"), (mg * 0.0884, "mmol/L")):
        score = ckd_epi_2021(value, unit=unit, age=age, sex=sex)
        assert score.value == pytest.approx(expected, rel=1e-9)


def test_ckd_epi_and_schwartz_outside_their_scope():
    assert ckd_epi_2021(1.0, unit="mg/dL", age=17, sex="male").value is None
    assert "sex" in ckd_epi_2021(1.0, unit="mg/dL", age=40, sex="").reason
    assert ckd_epi_2021(1.0, unit="mg/dL", age=40, sex="male", pregnant=True).value is None
    assert "steady" in ckd_epi_2021(1.0, unit="mg/dL", age=40, sex="male", unsteady=True).reason
    # Schwartz 2009: 0.413 x height / creatinine.
    child = bedside_schwartz(0.5, unit="mg/dL", height_cm=120, age=8)
    assert child.value == pytest.approx(99.12)
    assert bedside_schwartz(44.2, unit="umol/L", height_cm=120, age=8).value == pytest.approx(99.12)
    assert bedside_schwartz(0.5, unit="mg/dL", height_cm=None, age=8).value is None
    assert bedside_schwartz(0.5, unit="mg/dL", height_cm=120, age=18).value is None
    with pytest.raises(ValueError, match="mg/dL"):
        ckd_epi_2021(1.0, unit="g/L", age=40, sex="male")


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(-50, 50)), min_size=3, max_size=30))
def test_theil_sen_equals_scipys(rows):
    stats = pytest.importorskip("scipy.stats")
    x, y = [float(a) for a, _ in rows], [float(b) for _, b in rows]
    ours = theil_sen(x, y)
    if len(set(x)) < 2:
        assert ours is None
        return
    theirs = stats.theilslopes(y, x, 0.95)
    assert ours.slope == pytest.approx(theirs.slope)
    assert ours.intercept == pytest.approx(theirs.intercept)
    if math.isfinite(ours.low):  # scipy gives the extreme slopes, or none, where too few are there to know
        assert (ours.low, ours.high) == (pytest.approx(theirs.low_slope), pytest.approx(theirs.high_slope))


def test_a_slope_of_years_needs_a_year_and_resists_an_outlier():
    days = [0, 120, 240, 365, 480, 730]
    times = [NOW + timedelta(days=each) for each in days]
    values = [60 - 5 * each / 365.25 for each in days]
    assert egfr_slope(times, values).slope == pytest.approx(-5)
    assert egfr_slope(times, [*values[:5], 5.0]).slope > -12
    assert egfr_slope(times[:3], values[:3]) is None


def test_delta_checks_take_the_newest_result_against_its_window():
    points = [Point(NOW - 50 * HOUR, 14.0, "a"), Point(NOW - 20 * HOUR, 12.0, "b"), Point(NOW - HOUR, 9.0, "c")]
    day = largest_change(points, NOW, 24 * HOUR, "fall")
    assert (day.change, day.before.id, day.percent) == (-3.0, "b", -25.0)
    assert largest_change(points, NOW, 72 * HOUR).before.id == "a"
    assert largest_change(points, NOW, 24 * HOUR, "rise") is None
    assert largest_change(points[:1], NOW, 24 * HOUR) is None
    assert largest_change(points, NOW - 2 * HOUR, 72 * HOUR).after.id == "b"


def _worked(data_dir: Path) -> dict[str, tuple[dict, float]]:
    found = {}
    with (data_dir / "medcalc_bench_one_shot" / "one_shot_data.csv").open(encoding="utf-8") as rows:
        for row in csv.DictReader(rows):
            entities = ast.literal_eval(row["Relevant Entities"])
            try:
                found[row["Calculator ID"]] = entities, float(row["Ground Truth Answer"])
            except ValueError:  # a date, or weeks
                continue
    return found


def _v(entities: dict, name: str) -> float:
    return float(entities[name][0])


def _gap(e: dict) -> float:
    return f.anion_gap(sodium=_v(e, "Sodium"), chloride=_v(e, "Chloride"), bicarbonate=_v(e, "Bicarbonate"))


def _whole(e: dict) -> dict:
    return {"age": _v(e, "age"), "sex": e["sex"].lower(), "unit": "mg/dL"}


# Cockcroft-Gault (2) is asked there with an adjusted weight, which is the caller's choice.
WORKED = {
    "2": lambda e: cockcroft_gault(
        _v(e, "creatinine"), **_whole(e),
        weight_kg=f.adjusted_body_weight(weight_kg=87, height_cm=175, sex="male"),
    ).value,
    "3": lambda e: ckd_epi_2021(_v(e, "creatinine"), **_whole(e)).value,
    "5": lambda e: f.mean_arterial_pressure(
        systolic=_v(e, "Systolic Blood Pressure"), diastolic=_v(e, "Diastolic Blood Pressure")
    ),
    "6": lambda e: f.body_mass_index(weight_kg=_v(e, "weight"), height_cm=_v(e, "height")),
    "7": lambda e: f.corrected_calcium(calcium_mg_dl=_v(e, "Calcium"), albumin_g_dl=_v(e, "Albumin") / 10),
    "9": lambda e: mdrd(_v(e, "creatinine"), **_whole(e)).value,
    "10": lambda e: f.ideal_body_weight(height_cm=_v(e, "height"), sex=e["sex"].lower()),
    "11": lambda e: f.qtc_bazett(qt_ms=_v(e, "QT Interval"), pulse=_v(e, "Heart Rate or Pulse")),
    "19": lambda e: f.fib_4(
        age=_v(e, "age"), ast=_v(e, "Aspartate aminotransferase"), alt=_v(e, "Alanine aminotransferase"),
        platelets=_v(e, "Platelet count") / 1000,
    ),
    "26": lambda e: f.corrected_sodium(sodium=_v(e, "Sodium"), glucose_mg_dl=_v(e, "Glucose")),
    "30": lambda e: f.osmolality(
        sodium=_v(e, "Sodium"), glucose_mg_dl=_v(e, "Glucose"), urea_nitrogen_mg_dl=_v(e, "Blood Urea Nitrogen (BUN)")
    ),
    "39": _gap,
    "40": lambda e: f.fractional_sodium_excretion(
        sodium=_v(e, "Sodium"), creatinine_mg_dl=_v(e, "creatinine"), urine_sodium=_v(e, "Urine sodium"),
        urine_creatinine_mg_dl=_v(e, "Urine creatinine"),
    ),
    "44": lambda e: f.ldl_friedewald(
        total_mg_dl=_v(e, "Total cholesterol"), hdl_mg_dl=_v(e, "high-density lipoprotein cholesterol"),
        triglycerides_mg_dl=_v(e, "Triglycerides"),
    ),
    "51": lambda e: sirs(
        temperature=(_v(e, "Temperature") - 32) / 1.8, pulse=_v(e, "Heart Rate or Pulse"), age=42,
        respiratory_rate=_v(e, "respiratory rate"), pco2=_v(e, "PaCO2"),
        leukocytes=_v(e, "White blood cell count") / 1000,
    ).value,
    "56": lambda e: f.qtc_fridericia(qt_ms=_v(e, "QT Interval"), pulse=_v(e, "Heart Rate or Pulse")),
    "57": lambda e: f.qtc_framingham(qt_ms=_v(e, "QT Interval"), pulse=_v(e, "Heart Rate or Pulse")),
    "58": lambda e: f.qtc_hodges(qt_ms=_v(e, "QT Interval"), pulse=_v(e, "Heart Rate or Pulse")),
    "59": lambda e: f.qtc_rautaharju(qt_ms=_v(e, "QT Interval"), pulse=_v(e, "Heart Rate or Pulse")),
    "60": lambda e: f.body_surface_area(weight_kg=_v(e, "weight"), height_cm=_v(e, "height")),
    "62": lambda e: f.adjusted_body_weight(
        weight_kg=_v(e, "weight"), height_cm=_v(e, "height"), sex=e["sex"].lower()
    ),
    "63": lambda e: f.delta_gap(_gap(e)),
    "64": lambda e: f.delta_ratio(_gap(e), bicarbonate=_v(e, "Bicarbonate")),
    "65": lambda e: f.corrected_anion_gap(_gap(e), albumin_g_dl=_v(e, "Albumin")),
    "66": lambda e: f.delta_gap(f.corrected_anion_gap(_gap(e), albumin_g_dl=_v(e, "Albumin"))),
    "67": lambda e: f.delta_ratio(
        f.corrected_anion_gap(_gap(e), albumin_g_dl=_v(e, "Albumin")), bicarbonate=_v(e, "Bicarbonate")
    ),
}  # fmt: skip


@pytest.mark.data
@pytest.mark.parametrize("calculator", sorted(WORKED, key=int))
def test_worked_examples_of_medcalc_bench(data_dir: Path, calculator: str):
    entities, answer = _worked(data_dir)[calculator]
    assert WORKED[calculator](entities) == pytest.approx(answer, rel=1e-4, abs=1e-4)
