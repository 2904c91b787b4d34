"""Simulated hospital patients for testing deterioration alarms (numpy only).

Written from general physiology, without sight of any alarm rules.
cases(seed) -> 250 dicts: 50 each of "sepsis", "aki", "bleeding", "hyperkalaemia"
and 50 "stable" controls, in shuffled order. to_bundle(case) -> FHIR R4 collection
Bundle.

Each case: id, kind, age, sex ("male"/"female"), weight_kg, conditions (list of
words), onset (ISO time deterioration begins; None for "stable"), end (ISO time of
the last set), observations sorted by time, each {code, display, value, unit, time,
issued}. All values are floats except consciousness (67775-7), whose value is one
of the words Alert, New confusion, Voice, Pain, Unresponsive, with unit None.

Things to know when scoring:
 * Nobody treats these patients: no oxygen, fluids, or dialysis.
 * Severity grows smoothly from zero AT onset, so nothing is visible in the first
   minutes or (for AKI, with daily bloods) hours after it.
 * Wards observe sick patients more often, so sampling gets denser as they worsen.
 * The last set of each deterioration is complete. Earlier ones have gaps.
 * Chronic conditions shift the baseline (COPD: SpO2 88-93; CKD: creatinine
   1.5-2.5; chronic anaemia: Hb 8.5-10; beta-blocker: blunted tachycardia; AF: noisy
   rate). Some stable controls are recovering from an infection or an operation.
 * Single odd readings (pain, walking about, a poor probe) happen to anyone.
"""
from datetime import datetime, timedelta, timezone
import numpy as np

KINDS = ("sepsis", "aki", "bleeding", "hyperkalaemia")
N_PER_KIND = 50
DT = 0.25  # hours per step of the latent model

CODES = {  # name: (LOINC, display, UCUM, decimals)
    "hr": ("8867-4", "Heart rate", "/min", 0),
    "rr": ("9279-1", "Respiratory rate", "/min", 0),
    "temp": ("8310-5", "Body temperature", "Cel", 1),
    "sbp": ("8480-6", "Systolic blood pressure", "mm[Hg]", 0),
    "dbp": ("8462-4", "Diastolic blood pressure", "mm[Hg]", 0),
    "spo2": ("59408-5", "Oxygen saturation in Arterial blood by Pulse oximetry", "%", 0),
    "cons": ("67775-7", "Level of responsiveness", None, None),
    "cr": ("2160-0", "Creatinine [Mass/volume] in Serum or Plasma", "mg/dL", 2),
    "k": ("2823-3", "Potassium [Moles/volume] in Serum or Plasma", "mmol/L", 1),
    "na": ("2951-2", "Sodium [Moles/volume] in Serum or Plasma", "mmol/L", 0),
    "hb": ("718-7", "Hemoglobin [Mass/volume] in Blood", "g/dL", 1),
    "lac": ("2524-7", "Lactate [Moles/volume] in Serum or Plasma", "mmol/L", 1),
    "wbc": ("6690-2", "Leukocytes [#/volume] in Blood by Automated count", "10*3/uL", 1),
    "plt": ("777-3", "Platelets [#/volume] in Blood by Automated count", "10*3/uL", 0),
    "uo1": ("9187-6", "Urine output", "mL", 0),
    "uo24": ("9192-6", "Urine output 24 hour", "mL/(24.h)", 0),
    "wt": ("29463-7", "Body weight", "kg", 1),
}
VITALS = ("hr", "rr", "temp", "sbp", "dbp", "spo2", "cons")
LABS = ("cr", "k", "na", "hb", "lac", "wbc", "plt")
MEAS_SD = dict(hr=2.5, rr=1.0, temp=0.12, sbp=4.0, dbp=3.0, spo2=0.6, cr=0.03,
               k=0.10, na=0.9, hb=0.20, lac=0.10, wbc=0.4, plt=9.0)


def _iso(t):
    return t.strftime("%Y-%m-%dT%H:%M:%S+00:00")


def _ar1(rng, n, sd, tau_h):
    """Slow wandering around the baseline, stationary sd, correlation time tau_h."""
    a = np.exp(-DT / tau_h)
    e = rng.normal(0, sd * np.sqrt(1 - a * a), n)
    x = np.empty(n)
    x[0] = rng.normal(0, sd)
    for i in range(1, n):
        x[i] = a * x[i - 1] + e[i]
    return x


def _patient(rng, kind):
    age = int(np.clip(rng.normal(66, 16), 19, 95))
    sex = "male" if rng.random() < 0.5 else "female"
    m = sex == "male"
    wt = float(np.clip(rng.normal(82 if m else 70, 13), 45, 130))
    p = 0.4 + 0.9 * np.clip((age - 30) / 50, 0, 1)  # chronic illness grows with age
    has = lambda q: rng.random() < q * p
    c = []
    b = dict(hr=rng.normal(77, 7), sbp=rng.normal(124, 10) + 0.15 * (age - 60),
             rr=rng.normal(15.8, 1.0), temp=rng.normal(36.7, 0.18),
             spo2=rng.normal(96.8, 0.7), k=rng.normal(4.15, 0.22),
             na=rng.normal(138.5, 2.0), lac=float(np.clip(rng.normal(1.1, 0.2), 0.6, 1.7)),
             hb=rng.normal(13.5 if m else 12.3, 1.0), wbc=float(np.clip(rng.normal(7.8, 1.5), 4.3, 11)),
             plt=float(np.clip(rng.normal(248, 50), 155, 390)),
             cr=float(np.clip(rng.normal(0.95 if m else 0.78, 0.12), 0.55, 1.25)))
    uo = rng.uniform(0.8, 1.3)  # mL/kg/h
    resp = 1.0                  # how far the heart can speed up
    hr_sd = 2.5
    if has(0.15):
        c.append("COPD"); b["spo2"] = rng.uniform(89.5, 92.5); b["rr"] += 2.0
    if has(0.18):
        c.append("chronic kidney disease"); b["cr"] = rng.uniform(1.5, 2.5)
        b["k"] += 0.35; b["hb"] -= 1.2; uo = rng.uniform(0.7, 1.1)
    if has(0.40):
        c.append("hypertension"); b["sbp"] += 10
    if has(0.12):
        c.append("heart failure"); b["hr"] += 4; b["sbp"] -= 8; b["spo2"] -= 0.8
    if has(0.12):
        c.append("atrial fibrillation"); hr_sd = 5.5; b["hr"] += 4
    if has(0.25):
        c.append("beta-blocker"); b["hr"] -= 9; resp = 0.6
    if has(0.12):
        c.append("chronic anaemia"); b["hb"] = rng.uniform(8.6, 10.2)
    if has(0.22):
        c.append("diabetes"); b["k"] += 0.08
    b["sbp"] = float(np.clip(b["sbp"], 106, 158))
    b["hr"] = float(np.clip(b["hr"], 56, 95))
    b["pp"] = b["sbp"] * rng.uniform(0.38, 0.46)
    b["hb"] = float(max(b["hb"], 8.6))
    gfr = (140 - age) * wt / (72 * b["cr"]) * (1 if m else 0.85)
    gfr = float(np.clip(gfr, 14, 125))
    return age, sex, wt, c, b, uo, resp, hr_sd, gfr


def _severity(rng, t, onset, dur, stutter):
    """0 before onset, rising to 1 at onset+dur; may pause part-way (rebleeding)."""
    u = np.clip((t - onset) / dur, 0, 1)
    if stutter:
        a, w = rng.uniform(0.25, 0.45), rng.uniform(0.15, 0.25)
        h = rng.uniform(0.3, 0.45)
        u = np.interp(u, [0, a, a + w, 1], [0, h, h + 0.03, 1])
    return u ** rng.uniform(0.85, 1.7)


def _case(rng, kind):
    age, sex, wt, cond, b, uo0, resp, hr_sd, gfr = _patient(rng, kind)
    k_el = gfr * 0.06 / (0.55 * wt)  # creatinine elimination, 1/h
    lead = rng.uniform(26, 60)
    dur = {"sepsis": rng.uniform(10, 28), "aki": rng.uniform(44, 84),
           "bleeding": rng.uniform(6, 20), "hyperkalaemia": rng.uniform(14, 40),
           "stable": rng.uniform(12, 72)}[kind]
    if kind == "aki":  # weak kidneys accumulate creatinine slowly: let it run
        dur = max(dur, min(110.0, 1.6 / k_el))
    total = lead + dur
    t = np.arange(0, total + DT, DT)
    t[-1] = total
    n = len(t)
    start = datetime(2025, 1, 1, tzinfo=timezone.utc) + timedelta(
        days=int(rng.integers(0, 500)), minutes=int(rng.integers(0, 1440)))
    clock = (start.hour + start.minute / 60 + t) % 24

    s = np.zeros(n) if kind == "stable" else _severity(
        rng, t, lead, dur, kind == "bleeding" and rng.random() < 0.4)

    circ = np.sin(2 * np.pi * (clock - 11) / 24)  # peak late afternoon
    x = {
        "hr": b["hr"] + 2 * circ + _ar1(rng, n, hr_sd, 2),
        "rr": b["rr"] + _ar1(rng, n, 0.8, 3),
        "temp": b["temp"] + 0.2 * circ + _ar1(rng, n, 0.10, 6),
        "sbp": b["sbp"] + 3 * circ + _ar1(rng, n, 5, 4),
        "spo2": b["spo2"] + _ar1(rng, n, 0.5, 4),
        "k": b["k"] + _ar1(rng, n, 0.10, 12),
        "na": b["na"] + _ar1(rng, n, 0.8, 24),
        "hb": b["hb"] + _ar1(rng, n, 0.12, 24),
        "lac": b["lac"] + _ar1(rng, n, 0.10, 6),
        "wbc": b["wbc"] * np.exp(_ar1(rng, n, 0.06, 24)),
        "plt": b["plt"] * np.exp(_ar1(rng, n, 0.03, 24)),
    }
    pp = np.full(n, b["pp"]) + _ar1(rng, n, 2, 4)
    f = np.ones(n)                # GFR as a fraction of the patient's own
    uo = np.full(n, uo0)          # mL/kg/h
    cons = np.zeros(n, int)       # 0 Alert, 1 New confusion, 2 Voice, 3 Pain
    U = rng.uniform

    if kind == "sepsis":
        x["hr"] += U(38, 60) * max(resp, 0.65) * s
        x["rr"] += U(10, 17) * s
        r = rng.random()
        if r < 0.80:
            x["temp"] += U(1.7, 2.9) * np.minimum(1, 1.7 * s)
        elif r < 0.92:
            x["temp"] -= U(1.0, 1.7) * s
        else:
            x["temp"] += 0.3 * s
        drop = U(0.30, 0.42) * s ** 1.6
        x["sbp"] *= 1 - drop
        pp *= 1 - 0.75 * drop      # vasodilated: diastolic falls at least as much
        x["spo2"] -= U(2, 8) * s
        x["lac"] += U(3.0, 6.8) * s ** 1.5
        lag = np.interp(t - 2.0, t, s, left=0)
        if rng.random() < 0.88:
            x["wbc"] += U(8, 18) * lag
        else:
            x["wbc"] += (U(1.2, 2.6) - x["wbc"]) * lag
        x["plt"] *= 1 - U(0.25, 0.6) * lag
        x["hb"] -= 0.6 * s
        x["na"] -= 2.5 * s
        x["k"] += U(0.2, 0.7) * s
        f = 1 - U(0.6, 0.85) * s
        uo = uo0 + (U(0.08, 0.3) - uo0) * s ** 0.8
        if rng.random() < 0.85:
            cons[s > U(0.55, 0.85)] = 1
            if rng.random() < 0.45:
                cons[s > U(0.88, 0.97)] = 2
    elif kind == "aki":
        g = np.minimum(1, s / U(0.15, 0.35))
        f = 1 - U(0.88, 0.97) * g
        olig = rng.random() < 0.85
        uo = uo0 + ((U(0.04, 0.22) if olig else U(0.4, 0.6)) - uo0) * g
        x["k"] += U(1.0, 2.0) * s
        x["na"] -= U(1, 5) * s
        if rng.random() < 0.6:     # fills up with fluid
            x["rr"] += U(4, 9) * s ** 1.5
            x["spo2"] -= U(2, 6) * s ** 1.5
            x["sbp"] += U(5, 22) * s
        else:                      # dry
            x["hr"] += U(10, 22) * resp * g
            x["sbp"] *= 1 - U(0.08, 0.2) * g
            x["rr"] += U(2, 5) * s
        if rng.random() < 0.4:
            cons[s > U(0.8, 0.95)] = 1
    elif kind == "bleeding":
        lmax = U(0.33, 0.45)
        loss = lmax * s            # fraction of blood volume
        x["hr"] += U(44, 66) * resp * s ** 1.1
        dec = np.clip((loss - 0.12) / (lmax - 0.12), 0, 1) ** 1.3
        x["sbp"] *= 1 - U(0.34, 0.46) * dec
        pp *= 1 - 0.5 * s          # narrow pulse pressure before the fall
        x["rr"] += U(8, 14) * s
        x["temp"] -= U(0.3, 1.0) * s
        x["spo2"] -= U(0, 3) * s
        x["lac"] += U(2.8, 6.5) * s ** 1.5
        frac, h, hd = U(0.42, 0.54), 0.0, np.empty(n)
        for i in range(n):         # haemoglobin falls as the plasma refills
            h += (frac * s[i] - h) * (1 - np.exp(-DT / 1.5))
            hd[i] = h
        x["hb"] *= 1 - hd
        x["plt"] *= 1 - U(0.25, 0.5) * hd / frac
        x["wbc"] += U(1, 5) * s
        f = 1 - U(0.4, 0.7) * s
        uo = uo0 + (U(0.08, 0.3) - uo0) * s
        if rng.random() < 0.75:
            cons[s > U(0.7, 0.92)] = 1
            if rng.random() < 0.4:
                cons[s > U(0.93, 0.98)] = 2
    elif kind == "hyperkalaemia":
        kend = U(7.1, 8.6)
        x["k"] += (kend - b["k"]) * s
        g = np.clip((x["k"] - 6.3) / (kend - 6.3), 0, 1)
        r = rng.random()
        if r < 0.65:
            x["hr"] = x["hr"] * (1 - U(0.35, 0.52) * g)
        elif r < 0.77:
            x["hr"] += U(45, 70) * g
        else:
            x["hr"] = x["hr"] * (1 - 0.1 * g)
        x["sbp"] *= 1 - U(0.1, 0.3) * g
        x["na"] -= U(0, 4) * s
        x["lac"] += U(0.2, 1.2) * g
        if rng.random() < 0.65:    # kidneys are the cause
            f = 1 - U(0.7, 0.92) * np.minimum(1, 1.5 * s)
            uo = uo0 + (U(0.1, 0.35) - uo0) * np.minimum(1, 1.4 * s)
            x["rr"] += U(3, 8) * s
        else:                      # drugs, tissue breakdown, adrenal failure
            f = 1 - U(0.1, 0.35) * s
            x["rr"] += U(0, 3) * s
        if rng.random() < 0.25:
            cons[g > 0.9] = 1
    else:
        r = rng.random()
        decay = np.exp(-t / U(15, 30))
        if r < 0.28:
            cond.append("recovering from infection")
            x["temp"] += U(0.4, 1.0) * decay
            x["wbc"] += U(2, 6) * decay
            x["hr"] += U(4, 12) * decay
            x["rr"] += U(1, 3) * decay
        elif r < 0.5:
            cond.append("after planned operation")
            x["hb"] -= U(0.6, 1.5) * (1 - np.exp(-t / 12))
            x["hb"] = np.maximum(x["hb"], 7.9)
            x["hr"] += U(3, 9) * decay
            x["wbc"] += U(1, 4) * decay
            uo = uo * (1 - 0.25 * decay)

    cr = np.empty(n)               # mass balance: made at a constant rate, cleared by GFR
    cr[0] = b["cr"]
    for i in range(1, n):
        cr[i] = cr[i - 1] + (t[i] - t[i - 1]) * k_el * (b["cr"] - f[i] * cr[i - 1])
    x["cr"] = cr * np.exp(_ar1(rng, n, 0.025, 24))
    x["dbp"] = x["sbp"] - pp

    at = lambda name, h: float(np.interp(h, t, x[name]))
    obs = []

    def add(name, h, value, delay_min):
        code, disp, unit, dec = CODES[name]
        when = start + timedelta(seconds=round(h * 60) * 60)
        if dec is not None:
            value = float(round(value, dec))
        obs.append(dict(code=code, display=disp, value=value, unit=unit, time=_iso(when),
                        issued=_iso(when + timedelta(minutes=int(delay_min)))))

    def sev(h):
        return float(np.interp(h, t, s))

    add("wt", 0.1, wt, 5)
    # --- bedside observations
    p_miss = dict(hr=U(.01, .05), rr=U(.05, .15), temp=U(.06, .2), sbp=U(.02, .06),
                  spo2=U(.02, .08), cons=U(.1, .3))
    base_iv = float(rng.choice([4, 4, 6, 6, 8]))
    fast = kind in ("sepsis", "bleeding", "hyperkalaemia")
    h, last = U(0.1, 1.0), False
    words = ("Alert", "New confusion", "Voice", "Pain")
    while True:
        if h >= total - 0.2:
            h, last = total, True
        bump_hr = bump_bp = 0.0
        if rng.random() < 0.04 and not last:   # pain, just back from the toilet
            bump_hr, bump_bp = U(8, 22), U(5, 22)
        for v in ("hr", "rr", "temp", "sbp", "spo2"):
            if not last and rng.random() < p_miss[v]:
                continue
            y = at(v, h) + rng.normal(0, MEAS_SD[v])
            if v == "hr":
                y = np.clip(y + bump_hr, 24, 190)
            elif v == "rr":
                y = np.clip(y, 8, 48)
                if 14 <= y < 18.5 and rng.random() < 0.4:
                    y = 16.0 if y < 17 else 18.0   # the habitual count
            elif v == "temp":
                y = np.clip(y, 33.8, 41.2)
            elif v == "spo2":
                if not last and rng.random() < 0.006:
                    y -= U(3, 6)                    # poor probe contact
                y = min(y, 100)
            elif v == "sbp":
                y = max(y + bump_bp, 48)
                d = at("dbp", h) + rng.normal(0, MEAS_SD["dbp"]) + 0.4 * bump_bp
                add("dbp", h, np.clip(d, 24, y - 12), 3)
            add(v, h, y, rng.integers(0, 6))
        if last or rng.random() > p_miss["cons"]:
            i = min(int(round(h / DT)), n - 1)
            add("cons", h, words[cons[i]], rng.integers(0, 6))
        if last:
            break
        q = sev(h)
        iv = base_iv
        if fast:
            iv = 0.5 if q > .88 else 1.0 if q > .6 else min(iv, 2.0) if q > .3 else iv
        elif kind == "aki":
            iv = min(iv, 4.0) if q > .5 else iv
        h += iv * U(0.8, 1.2)
    # --- bloods
    def bloods(h, urgent, full=False):
        skip = lambda q: (not full) and rng.random() < q
        delay = rng.integers(25, 70) if urgent else rng.integers(50, 150)
        todo = []
        if not skip(0.08):
            todo += ["cr", "na"] + ([] if skip(0.05) else ["k"])   # haemolysed: no K
        if not skip(0.15 if kind != "bleeding" or not urgent else 0.03):
            todo += ["hb", "wbc", "plt"]
        if full or rng.random() < (0.85 if urgent and kind != "aki" else 0.2):
            todo.append("lac")
        for v in todo:
            sd = MEAS_SD[v] * (max(1.0, at(v, h) / 2) if v in ("cr", "lac") else 1)
            y = at(v, h) + rng.normal(0, sd)
            lo = dict(cr=.3, k=2.5, na=115, hb=2.5, lac=.4, wbc=.4, plt=12)[v]
            add(v, h, max(y, lo), delay)

    if rng.random() < 0.85:
        bloods(U(0.3, 2.0), False)             # admission bloods
        seen = True
    else:
        seen = False
    h = (6 - clock[0]) % 24 + U(-0.5, 1.0)     # morning round
    if h < 3:
        h += 24
    nxt = h
    while nxt < total - 0.75:
        q = sev(nxt)
        urgent = q > 0.25 and kind != "stable"
        if urgent or rng.random() > 0.15 or not seen:
            bloods(nxt, urgent)
            seen = True
        morning = nxt + 24 - ((clock[0] + nxt - 6 + 12) % 24 - 12) + U(-0.5, 1.0)
        # someone becomes worried before the next morning round
        cand = morning
        if kind != "stable":
            step = {"aki": (10, 16), "bleeding": (2, 3.5), "sepsis": (4, 7),
                    "hyperkalaemia": (4, 7)}[kind]
            later = np.nonzero((s > 0.25) & (t > nxt))[0]
            if len(later):
                cand = min(cand, max(nxt + U(*step), t[later[0]] + U(0, 2)))
        nxt = cand
    bloods(total - (0.0 if kind != "stable" else U(0, .4)), True, full=kind != "stable" or rng.random() < .5)
    # --- urine
    if rng.random() < (0.65 if kind != "stable" else 0.35):   # catheter
        h = U(0.5, 2)
        while h <= total:
            j = float(np.interp(h, t, uo)) * wt * np.exp(rng.normal(0, 0.25))
            if rng.random() > 0.06:
                add("uo1", h, 5 * round(j / 5), rng.integers(1, 10))
            h += (1.0 if sev(h) > 0.2 else 2.0)
    else:                                                     # jug and chart, daily
        d = (6 - clock[0]) % 24
        while d <= total:
            if d >= 23.5 and rng.random() > 0.1:
                w = (t > d - 24) & (t <= d)
                add("uo24", d, 10 * round(float(np.mean(uo[w])) * 24 * wt
                                          * np.exp(rng.normal(0, .1)) / 10), rng.integers(10, 60))
            d += 24
        if kind == "aki" and sev(total) > 0:
            w = t > total - 24
            add("uo24", total, 10 * round(float(np.mean(uo[w])) * 24 * wt / 10), 15)

    obs.sort(key=lambda o: (o["time"], o["code"]))
    return dict(id=None, kind=kind, age=age, sex=sex, weight_kg=round(wt, 1),
                conditions=cond,
                onset=None if kind == "stable" else _iso(start + timedelta(minutes=round(lead * 60))),
                end=_iso(start + timedelta(minutes=round(total * 60))), observations=obs)


def cases(seed=0):
    rng = np.random.default_rng(seed)
    out = [_case(rng, k) for k in KINDS + ("stable",) for _ in range(N_PER_KIND)]
    out = [out[i] for i in rng.permutation(len(out))]
    for j, c in enumerate(out):    # ids say nothing about the kind
        c["id"] = f"ward{seed}-{j:03d}"
    return out


def to_bundle(case):
    pid = "pat-" + case["id"]
    first = case["observations"][0]["time"]
    entry = [{"fullUrl": f"http://example.org/fhir/Patient/{pid}",
              "resource": {"resourceType": "Patient", "id": pid, "gender": case["sex"],
                           "birthDate": f"{int(first[:4]) - case['age']}-01-01"}}]
    vit = {CODES[v][0] for v in VITALS + ("wt", "uo1", "uo24")}
    for i, o in enumerate(case["observations"]):
        oid = f"{case['id']}-{i:04d}"
        cat = "vital-signs" if o["code"] in vit else "laboratory"
        r = {"resourceType": "Observation", "id": oid, "status": "final",
             "category": [{"coding": [{
                 "system": "http://terminology.hl7.org/CodeSystem/observation-category",
                 "code": cat}]}],
             "code": {"coding": [{"system": "http://loinc.org", "code": o["code"],
                                  "display": o["display"]}], "text": o["display"]},
             "subject": {"reference": f"Patient/{pid}"},
             "effectiveDateTime": o["time"], "issued": o["issued"]}
        if isinstance(o["value"], str):
            r["valueString"] = o["value"]
        else:
            r["valueQuantity"] = {"value": o["value"], "unit": o["unit"],
                                  "system": "http://unitsofmeasure.org", "code": o["unit"]}
        entry.append({"fullUrl": f"http://example.org/fhir/Observation/{oid}", "resource": r})
    return {"resourceType": "Bundle", "id": "bundle-" + case["id"], "type": "collection",
            "timestamp": max(o["issued"] for o in case["observations"]), "entry": entry}


if __name__ == "__main__":
    import json
    cs = cases(0)
    print(len(cs), "cases,", sum(len(c["observations"]) for c in cs), "observations,",
          sum(len(json.dumps(to_bundle(c))) for c in cs), "bytes as bundles")
