/** What the server says and takes at /api. The server's own schema has the same names (`aris.service.workspace.schemas`). */

export type Role = "admin" | "reader" | "viewer" | "admin+reader";
export type State = "arrived" | "settled" | "drafted" | "opened" | "preliminary" | "final" | "amended" | "addendum";
export type Urgency = "routine" | "urgent" | "stat";
export type Priority = "routine" | "urgent" | "critical";
export type SectionName = "examination" | "indication" | "technique" | "comparison" | "findings" | "impression";
export type Sections = Record<SectionName, string>;
export type DocumentFormat = "pdf" | "sr" | "fhir" | "text" | "json";

/** Every error: status 4xx or 5xx with this body. `code` is for programs, as "stale_text", "wrong_password". */
export interface Problem {
  error: { code: string; message: string };
}

// ---- who is here ------------------------------------------------------------------------------------------------
/** `name` is a DICOM person name (Family^Given). */
export interface User {
  login: string;
  name: string;
  role: Role;
  organization: string;
  identifier: string;
  active: boolean;
}
/** GET /api/session: answered without a session too. `csrf` goes back as header X-CSRF-Token with every POST, PUT, PATCH, DELETE. */
export interface Session {
  setup_needed: boolean;
  user: User | null;
  csrf: string;
  expires_at: string | null;
  version: string;
  /** The model that drafts; null: the workspace still reads and signs. `caution` is the banner, "" for one that may serve patients. */
  model: { name: string; revision: string; caution: string } | null;
  /** Where the model stands: "loading" just after the start (then ask again in some seconds), "failed" (the log says why), "none", "ready". */
  model_state?: "none" | "loading" | "ready" | "failed";
  oidc: { name: string } | null;
  site: { second_signature: boolean; destinations: string[]; demo_available: boolean };
  /** How the user signed in; "" for a program or nobody. */
  method?: "password" | "oidc" | "";
  /** Until when a signature needs no password: the user has just signed in anew at the OpenID provider. */
  proved_until?: string | null;
}
/** GET /api/session/oidc?next=PATH: a full navigation; the browser comes back to `next`, or to /signin?problem=CODE&next= with
 *  oidc_unavailable, oidc_failed, oidc_denied, oidc_expired or oidc_unknown_user. With &prove=1 (signed in already) the user signs in
 *  anew at the provider and comes back to `next`, with ?problem=CODE (also oidc_stale, oidc_other_user) if that is no proof; then
 *  POST .../sign and .../addendum take password "" once, until `proved_until`. 403 proof_needed otherwise. */
/** POST /api/setup, once: `code` is printed by `aris serve` (and in the link it opens, /setup#CODE). Makes an admin+reader and signs in: Session. */
export interface SetUp {
  code: string;
  login: string;
  password: string;
  name: string;
  organization: string;
  identifier: string;
}
/** POST /api/session -> Session; 401 wrong_password. DELETE /api/session signs out. */
export interface SignIn {
  login: string;
  password: string;
}
/** GET/POST /api/users, PATCH /api/users/{login} (admin). */
export interface NewUser {
  login: string;
  password: string;
  name: string;
  role: Role;
  organization: string;
  identifier: string;
}
export interface UserChange {
  password?: string;
  role?: Role;
  active?: boolean;
}
/** PUT /api/session/password {current, password} -> Session, with another `csrf`; signs out everywhere else. */
export interface PasswordChange {
  current: string;
  password: string;
}
/** GET /api/tokens -> ApiToken[]; POST {name, scopes, days} -> ApiToken with `token`, shown once; DELETE /api/tokens/{id}. */
export type Scope = "model" | "read" | "write" | "dicomweb" | "audit";
export interface ApiToken {
  id: number;
  name: string;
  scopes: Scope[];
  created_at: string;
  expires_at: string | null;
  last_used_at: string | null;
  token?: string;
}
/** GET/PUT /api/preferences: a user's own; any JSON of at most 64 KB. */
export interface Preferences {
  /** "system": as the computer has it. */
  theme?: "dark" | "light" | "system";
  /** Action id -> key chord, as "Ctrl+Enter". */
  keys?: Record<string, string>;
  /** Mouse button -> tool: primary, secondary, auxiliary, wheel. */
  mouse?: Record<string, string>;
  own_look_first?: boolean;
  filters?: { name: string; search: string }[];
  macros?: { name: string; text: string }[];
}

// ---- the worklist ---------------------------------------------------------------------------------------------
/** GET /api/worklist?state=&state=&text=&modality=&sort=&reverse=&limit=&offset=
 *  sort: priority, arrived, patient, date, modality, state. No state: all that is still to be read. */
export interface WorklistPage {
  total: number;
  entries: Entry[];
  counts: Record<State, number>;
  modalities: string[];
  now: string;
}
export interface Entry {
  study: string;
  state: State;
  urgency: Urgency;
  concern: 0 | 1 | 2 | 3;
  assessed: boolean;
  reason: string;
  patient_id: string;
  patient_name: string;
  birth_date: string;
  sex: string;
  age: string;
  accession: string;
  date: string;
  time: string;
  description: string;
  modalities: string[];
  images: number;
  arrived_at: string;
  opened_by: string;
  notice: string;
  /** The newest intake of the study's patient, of the last 30 days. */
  intake?: IntakeBadge | null;
  /** Critical results that nobody has read back yet. */
  critical?: number;
}
/** POST /api/uploads: one file a request as the body (DICOM, zip, JPEG, PNG, TIFF), `?name=` its name; for pictures also
 *  ?patient_name=&patient_id=&birth_date=&age=&sex=&view=&modality=&body_part=&date=&study= . -> Uploaded.
 *  &more=true for all files of a batch but the last: the studies settle, and are drafted, with the last one.
 *  `refused` also says what was kept apart (another patient under the study's UID) or beside. */
export interface Uploaded {
  studies: string[];
  added: number;
  known: number;
  refused: { name: string; reason: string }[];
}
/** POST /api/demo -> Uploaded: sample studies. */
/** GET /api/events (server-sent, Last-Event-ID): event "study" with an id: StudyEvent; "intake" with an id: IntakeEvent; without one
 *  "rows": RowsNews, and "drafting": Drafting. */
export interface StudyEvent {
  study: string;
  action: string;
  user: string;
  at: string;
}
export interface IntakeEvent {
  intake: string;
  action: string;
  /** Of one that has ended; "" otherwise. */
  level: string;
  user: string;
  at: string;
}
/** Lines of the worklist after somebody's acts. `moved`: may stand at another place than before; `many`: ask for the list. */
export interface RowsNews {
  entries: Entry[];
  moved: string[];
  counts: WorklistPage["counts"];
  many: boolean;
}
export interface Drafting {
  study: string;
  state: "waiting" | "running" | "done" | "failed";
  text?: string;
}

// ---- a study -----------------------------------------------------------------------------------------------------
/** GET /api/studies/{uid}: looked at, not opened. POST .../open -> Study (403 for viewers); POST .../close. */
export interface Study {
  study: string;
  state: State;
  urgency: Urgency;
  concern: 0 | 1 | 2 | 3;
  assessed: boolean;
  reason: string;
  notice: string;
  opened_by: string;
  patient: { identifier: string; issuer: string; name: string; birth_date: string; sex: string; age: string };
  about: { accession: string; date: string; time: string; description: string; referrer: string; identifier: string };
  order: { procedure: string; reason: string; urgency: Urgency; referrer: string; placer: string } | null;
  /** The newest text; null while there is none. `number` is the base of the next PUT. */
  text: Text | null;
  beside: Text[];
  drafts: DraftVersion[];
  reports: SignedReport[];
  critical: CriticalResult[];
  measurements: Measured[];
  verdicts: Verdict[];
  series: SeriesInfo[];
  priors: Prior[];
  /** Names of the site's archives, where earlier studies can be looked for; [] if there is none. */
  archives: string[];
  drafting: Drafting["state"] | null;
  /** What the signed-in user may do now. */
  may: { edit: boolean; sign: boolean; addend: boolean; correct: boolean };
}
export interface Text {
  number: number | null;
  base: number;
  author: string;
  draft: number;
  sections: Sections;
  at: string;
}
export interface DraftVersion {
  number: number;
  origin: "model" | "outside";
  model: string;
  revision: string;
  caution: string;
  at: string;
  applied: boolean;
  priority: Priority;
  sections: Sections;
  findings: ScoredFinding[];
  warnings: DraftWarning[];
  regions: Region[];
  /** Of a draft from outside: another program's structured report, read-only. */
  outside: { title: string; maker: string; verified: boolean; complete: boolean; lines: [string, string][] } | null;
  confidence: { section: string; text: string; mean_probability: number; marked: boolean }[];
}
/** `sentence`: the sentence that it is about, "" if it is about the whole. */
export interface DraftWarning {
  text: string;
  sentence: string;
}
/** `operating_point`: probability from which on it counts as present; null where there is none. */
export interface ScoredFinding {
  name: string;
  probability: number | null;
  present: boolean | null;
  note: string;
  operating_point: number | null;
}
/** `box`: left, top, right, bottom in pixels of the stored image. */
export interface Region {
  label: string;
  box: [number, number, number, number];
  image: string;
  frame: number | null;
  probability: number | null;
  note: string;
}
export interface SignedReport {
  number: number;
  kind: "report" | "correction" | "addendum";
  status: string;
  mark: string;
  sections: Sections;
  addenda: string[];
  digest: string;
  at: string;
  signatures: { login: string; name: string; meaning: string; at: string }[];
  deliveries: { destination: string; state: string; attempts: number; error: string; at: string | null }[];
}
export interface CriticalResult {
  id: number;
  finding: string;
  raised_by: string;
  at: string;
  open: boolean;
  attempts: { whom: string; how: string; outcome: string; note: string; login: string; at: string }[];
}
export interface Measured {
  id: number;
  image: string;
  frame: number | null;
  name: string;
  value: number;
  unit: string;
  calibration: "calibrated" | "at detector" | "pixels only";
  points: [number, number][];
  login: string;
  at: string;
}
export interface Verdict {
  draft: number;
  kind: "finding" | "sentence";
  about: string;
  /** unchanged: signed as it was drafted, and nobody judged it. */
  verdict: "accepted" | "edited" | "rejected" | "added" | "unchanged";
  said: string;
  login: string;
}
export interface SeriesInfo {
  uid: string;
  modality: string;
  number: string;
  description: string;
  body_part: string;
  images: number;
  frames: number;
  objects: number;
}
/** `certain`: same ID, issuer and birth date; otherwise "possible", and never compared or loaded by itself. */
export interface Prior {
  study: string;
  date: string;
  description: string;
  modalities: string[];
  certain: boolean;
  why: string;
  state: State;
  impression: string;
  /** Where it must be fetched from, "" for one that is here: POST /api/studies/{uid}/priors/{prior}/fetch -> Study.
   *  POST /api/studies/{uid}/priors/look -> Study asks the archives now. GET /api/studies/{uid}/series -> SeriesInfo[] of
   *  any study in the store, also of a fetched prior that was never read here. */
  archive: string;
  fetching: "" | "asked" | "failed";
  /** Why it failed; with "asked": why the last attempt did, another one follows. */
  error: string;
}

/** PUT /api/studies/{uid}/text {sections, base} -> Saved. number null: another reader's text came first, and this one is kept beside. */
export interface Saved {
  number: number | null;
  newest: number;
  author: string;
}
/** POST /api/studies/{uid}/sign -> Signed; 401 wrong_password, 409 stale_text. correction: of a signed report. */
export interface SignRequest {
  password: string;
  text: number;
  correction: boolean;
  seen: { images: number; of: number };
}
/** POST /api/studies/{uid}/addendum {password, text} -> Signed. */
export interface Signed {
  number: number;
  state: State;
  digest: string;
  destinations: string[];
  warnings: string[];
}
/** POST /api/studies/{uid}/verdicts -> 204; /measurements -> Measured (DELETE .../measurements/{id} -> 204);
 *  /critical {finding} -> Study; /critical/{id}/attempts -> Study; /notice/seen -> Study (of a signed study). */
export interface NewVerdict {
  kind: "finding" | "sentence";
  about: string;
  verdict: Verdict["verdict"];
  said: string;
  /** The number of the draft that was read; left out: the newest. */
  draft?: number;
}
export interface NewMeasurement {
  image: string;
  frame: number | null;
  name: string;
  value: number;
  unit: string;
  calibration: Measured["calibration"];
  points: [number, number][];
}
export interface NewAttempt {
  whom: string;
  how: string;
  /** "reached" is kept as "told". Only "read back" ends it, or "withdrawn" with a note. */
  outcome: "reached" | "told" | "read back" | "message left" | "not reached" | "withdrawn";
  note: string;
}

// ---- images -----------------------------------------------------------------------------------------------------
/** GET /api/studies/{uid}/series/{series} -> SeriesImages: what the viewer shows, in the order of display. */
export interface SeriesImages {
  uid: string;
  modality: string;
  description: string;
  images: ImageInfo[];
  other: OtherObject[];
}
/** An object of a series that is no image. A "document" that holds a PDF: GET /api/images/{uid}/pdf. */
export interface OtherObject {
  uid: string;
  sop_class: string;
  kind: "sr" | "gsps" | "document" | "other";
  label: string;
}
/** One frame. Pixels: GET /api/images/{uid}/frames/{frame} -> raw little-endian values, rows x columns, rescaled already.
 *  dtype uint8, int16, uint16 or float32; samples 3: RGB interleaved, uint8. `frame` is from 1. GET /api/images/{uid}/thumbnail and
 *  /api/studies/{uid}/series/{series}/thumbnail: JPEG, 256 px at most. GET /api/images/{uid}/document -> OutsideDocument (SR, GSPS). */
export interface ImageInfo {
  uid: string;
  frame: number;
  rows: number;
  columns: number;
  samples: 1 | 3;
  dtype: "uint8" | "int16" | "uint16" | "float32";
  /** "HU", "" where the values have no unit. */
  unit: string;
  /** MONOCHROME1: high values are dark. */
  inverted: boolean;
  /** Of display, by the header or else by the values. `function`: VOI LUT Function, LINEAR where it is not given. */
  window: { center: number; width: number; name: string; function?: "LINEAR" | "LINEAR_EXACT" | "SIGMOID" }[];
  least: number | null;
  greatest: number | null;
  /** Row spacing, column spacing in mm; null: pixels only. */
  spacing: [number, number] | null;
  calibration: Measured["calibration"];
  /** Why it is that, in a line; "" where nothing needs to be said. */
  calibration_note: string;
  /** Boxes (left, top, right, bottom) inside which alone the spacing holds, as of ultrasound regions; none: everywhere. */
  calibrated_within: [number, number, number, number][];
  /** Direction cosines of rows and columns, position of the first pixel; null where there is none. */
  orientation: [number, number, number, number, number, number] | null;
  position: [number, number, number] | null;
  /** Patient Orientation of films, as ["L", "F"]: where rows and columns of the stored pixels point. */
  patient_orientation: [string, string] | null;
  /** To the view that readers are used to (a film stored mirrored, a slice stored turned): rows become columns, then their
   *  orders are reversed. null: it is stored so. Points and boxes are of the stored pixels always. */
  turn: { transpose: boolean; flip_rows: boolean; flip_columns: boolean } | null;
  frame_of_reference: string;
  number: string;
  laterality: string;
  view: string;
  cine_rate: number | null;
  /** Its pixels were compressed with a loss. */
  lossy: boolean;
  /** What a reader must know of its values, as that a VOI LUT was applied. */
  notes: string[];
  /** Why the pixels cannot be shown, "" if they can. */
  problem: string;
}

/** GET /api/studies/{uid}/graphics -> Graphic[]: what others drew (presentation states, TID 1500 SR), read-only. Points in
 *  pixels of the stored image; `kind` circle: centre and a point on it; ellipse: the ends of both axes, as in SCOORD. */
export interface Graphic {
  source: string;
  kind: "point" | "polyline" | "circle" | "ellipse" | "text";
  image: string;
  frame: number | null;
  points: [number, number][];
  /** A closed polyline. */
  closed: boolean;
  /** A measurement's words, a text of a presentation state, "" if there is none. */
  text: string;
}

/** A structured report or presentation state of another system, to be read beside the images. Never a text of ours by itself. */
export interface OutsideDocument {
  uid: string;
  title: string;
  kind: "sr" | "gsps" | "document" | "other";
  maker: string;
  verified: boolean;
  complete: boolean;
  lines: { depth: number; name: string; text: string }[];
  measurements: { name: string; value: number; unit: string; of: string }[];
  graphics: Graphic[];
}

// ---- drafts, evidence, questions -------------------------------------------------------------------------------------
/** GET /api/studies/{uid}/draft (server-sent): drafts it now if nobody has, ahead of all others. Events, in this order:
 *  "findings" {findings: ScoredFinding[], warnings: string[]}, "section" {section}, "piece" {section, text},
 *  "done" {draft, text} (numbers), "failed" {message}. A reader that comes late gets what was written so far first. "findings" may come again, and "section" for
 *  one that was begun: the later one holds. ?again=1 tries a study that was given up after failures. A viewer only listens. */
export interface Piece {
  section: SectionName;
  text: string;
}
/** GET /api/studies/{uid}/evidence?finding=NAME or ?sentence=TEXT -> EvidenceOnImage. */
export interface EvidenceOnImage {
  about: string;
  assessed: boolean;
  note: string;
  image: string;
  frame: number | null;
  regions: Region[];
  sides: string[];
  shares: number[];
  map: string | null;
  warnings: string[];
}
/** POST /api/studies/{uid}/sections/{name}/regenerate {hint} -> {section, text, warnings}: not saved. */
export interface Regenerated {
  section: SectionName;
  text: string;
  warnings: string[];
}
/** POST /api/studies/{uid}/ask {question, images: uid[]} -> Answered. */
export interface Answered {
  question: string;
  answer: string;
  answered: boolean;
  warnings: string[];
  model: string;
  caution: string;
}
/** GET /api/studies/{uid}/preview?format= (what would leave now: a draft's mark on it); GET /api/studies/{uid}/reports/{n}/document?format= . */
/** GET /api/templates -> Template[]; POST (MRRT HTML as the body, admin) -> Template; DELETE /api/templates/{id}. */
export interface Template {
  id: string;
  name: string;
  modality: string;
  sections: Partial<Sections>;
  own: boolean;
  normal: boolean;
}
/** POST /api/templates takes ?modality=CT&normal=true too. GET /api/macros -> Macro[]: the site's and ours; a user's own are in Preferences.
 *  POST /api/macros {name, text} (admin) -> Macro; DELETE /api/macros/{name}. */
export interface Macro {
  name: string;
  text: string;
}

// ---- the house -------------------------------------------------------------------------------------------------
/** GET /api/models. Memory in bytes; speed of the last answers in tokens a second, null where none was written. */
export interface ModelInfo {
  name: string;
  revision: string;
  loaded: boolean;
  caution: string;
  card: string;
  memory: number | null;
  tokens_per_s: number | null;
  device: string;
  scope: string[];
  quantization: string;
}
/** GET /api/audit?before=&limit=&user=&action=&study= (admin) -> AuditPage; POST /api/audit/verify -> Verified; GET /api/audit/export -> FHIR Bundle of AuditEvent. */
export interface AuditPage {
  events: AuditEvent[];
  next: number | null;
  actions: string[];
}
export interface AuditEvent {
  number: number;
  at: string;
  user: string;
  action: string;
  study: string;
  outcome: string;
  detail: Record<string, unknown>;
}
export interface Verified {
  ok: boolean;
  events: number;
  problems: string[];
  /** Exported seals that the trail was held against; with none a cut at its end is not found. */
  heads?: number;
}
/** GET /api/agreement -> Agreement[] (over time, per model). */
export interface Agreement {
  model: string;
  revision: string;
  month: string;
  kind: string;
  accepted: number;
  edited: number;
  rejected: number;
  added: number;
  /** Sentences that were signed as they were drafted, and that nobody judged. */
  unchanged: number;
  /** Accepted, edited or rejected; `agreed` is the share of accepted ones among them. */
  judged: number;
  agreed: number | null;
}
/** GET /api/site (admin): settings as they hold, read-only. GET /api/deliveries -> open deliveries of all studies. */
export interface Site {
  settings: Record<string, unknown>;
  file: string;
  store: string;
  database: string;
  services: { name: string; address: string; state: string }[];
}

// ---- intake -----------------------------------------------------------------------------------------------------
export type IntakeLevel = "routine" | "soon" | "urgent" | "emergency";
export type IntakeStatus =
  | "waiting"
  | "consent"
  | "asking"
  | "finished"
  | "emergency"
  | "unfinished"
  | "declined"
  | "expired"
  | "revoked";
export type IntakeView = "to see" | "running" | "seen" | "without answers";
/** GET /api/intakes?view=&view=&patient_id=&issuer=&birth_date=&limit=&offset= -> IntakeList, by level, then by waiting. No view: "to see"
 *  and "running"; with a patient's number all of that patient. GET /api/intakes/emergencies -> IntakeLine[]: not acknowledged yet.
 *  GET /api/studies/{uid}/intakes -> IntakeBadge[]: of the study's patient, the newest first. */
export interface IntakeList {
  intakes: IntakeLine[];
  total: number;
  counts: Record<IntakeView, number>;
  /** This server asks patients itself, at /intake. `address`: its own in browsers, "" where it is not set. */
  page: boolean;
  address: string;
  now: string;
}
export interface IntakeLine {
  name: string;
  patient: { identifier: string; issuer: string; name: string; birth_date: string; sex: string };
  note: string;
  status: IntakeStatus;
  level: IntakeLevel;
  complaint: string;
  reason: string;
  made_by: string;
  made_at: string;
  expires_at: string;
  ended_at: string | null;
  asked: number;
  link_used: boolean;
  marks: { kind: "seen" | "acknowledged"; login: string; at: string; how: string; note: string }[];
}
/** POST /api/intakes NewIntake -> IntakeLink, POST /api/intakes/{name}/link {hours} -> IntakeLink: `path` is told here alone.
 *  POST /api/intakes/{name}/revoke, /seen, /acknowledge {how, note} -> IntakeLine. */
export interface NewIntake {
  identifier: string;
  issuer: string;
  name: string;
  birth_date: string;
  sex: "" | "F" | "M" | "O";
  note: string;
  hours?: number | null;
}
export interface IntakeLink {
  line: IntakeLine;
  path: string;
  url: string;
}
export interface AcknowledgeIntake {
  how: "patient called" | "ambulance called" | "patient is here" | "handed over" | "other";
  note: string;
}
/** GET /api/intakes/{name} -> Intake; GET /api/intakes/{name}/fhir?part=all|questionnaire|response|resources: FHIR R4 JSON. */
export interface Intake {
  line: IntakeLine;
  summary: IntakeSummary | null;
  transcript: { asked: string; said: string; chosen: string[]; known: boolean; chosen_by: string }[];
  text: string;
  has_fhir: boolean;
}
export interface IntakeFinding {
  label: string;
  /** The patient's words, "" where it was chosen from a list. */
  quote: string;
  denied: boolean;
}
export interface IntakeSummary {
  answered_by: string;
  age: string;
  sex: string;
  pregnancy: string;
  complaint: string;
  chief_complaint: string;
  reasons: { text: string; level: IntakeLevel; rule: string; source: string; reviewed: boolean; possible: boolean }[];
  red_flags: IntakeFinding[];
  history: { label: string; value: string }[];
  positives: IntakeFinding[];
  negatives: IntakeFinding[];
  not_known: IntakeFinding[];
  past_history: IntakeFinding[];
  medications: string;
  allergies: string;
  other: string;
  not_asked: string[];
  questions: number;
  model: string;
  caution: string;
}
/** An intake beside a study. `certain`: a name or a birth date agrees, not the ID alone. */
export interface IntakeBadge {
  name: string;
  at: string;
  level: IntakeLevel;
  status: IntakeStatus;
  complaint: string;
  seen: boolean;
  certain: boolean;
}

// ---- literature ---------------------------------------------------------------------------------------------------
export type Retraction = "retracted" | "concern" | "not listed" | "unknown";
/** GET /api/literature/libraries -> Libraries; POST {name} -> LibraryInfo; DELETE .../{library} (admin).
 *  POST /api/literature/uploads?library=&name= (the file as the body) -> PapersAdded; POST /api/literature/retractions?library=&name=
 *  -> RetractionsRead. */
export interface Libraries {
  libraries: LibraryInfo[];
  /** The model that can write, "" for none: passages answer alone. */
  model: string;
  study_types: string[];
}
export interface LibraryInfo {
  name: string;
  /** The command line's own. */
  own: boolean;
  papers: number;
  passages: number;
  vectors: number;
  retracted: number;
  size: number;
  /** Vectors are being made. */
  making: boolean;
  /** Why it is searched by words alone, "" where it is not. */
  lexical: string;
  /** A list of retractions was imported. */
  listed: boolean;
  problem: string;
}
export interface PaperInfo {
  id: number;
  title: string;
  authors: string[];
  journal: string;
  year: number | null;
  pmid: string;
  doi: string;
  url: string;
  licence: string;
  types: string[];
  study_type: string;
  retraction: Retraction;
  source: string;
  reference: string;
}
/** GET /api/literature/libraries/{library}/papers?text=&retracted=&limit=&offset= -> PaperPage; GET .../papers/{id} -> PaperText;
 *  DELETE .../papers/{id}; GET .../references?format=ris|bibtex|vancouver&paper=&paper= -> text, all without papers. */
export interface PaperPage {
  total: number;
  papers: PaperInfo[];
}
export interface PassageInfo {
  id: number;
  section: number;
  heading: string;
  page: number | null;
  start: number;
  end: number;
  text: string;
}
export interface PaperText {
  paper: PaperInfo;
  passages: PassageInfo[];
  cut: boolean;
}
/** GET /api/literature/libraries/{library}/search?q=&since=&until=&type=&journal=&count= -> Found. */
export interface Found {
  hits: { paper: PaperInfo; passage: PassageInfo }[];
  mode: "hybrid" | "lexical";
  warnings: string[];
}
export interface PapersAdded {
  name: string;
  added: number;
  updated: number;
  known: number;
  faulty: number;
  faults: string[];
  error: string;
  unchanged: boolean;
}
export interface RetractionsRead {
  identifiers: number;
  retracted: number;
}
/** POST /api/literature/libraries/{library}/ask (server-sent answer): "found" {passages, answered, mode}, "sentence" {sentence, passages}
 *  for each, "done" LiteratureAnswer, "failed" {message}. */
export interface AskLiterature {
  question: string;
  since?: number | null;
  until?: number | null;
  types: string[];
  journal: string;
  written: boolean;
}
export interface CitedPassage {
  number: number;
  passage: number;
  paper: number;
  section: number;
  heading: string;
  page: number | null;
  start: number;
  end: number;
  text: string;
  source: string;
  title: string;
  year: number | null;
  pmid: string | null;
  doi: string | null;
  retraction: string;
  vancouver: string;
}
export interface AnswerSentence {
  text: string;
  kind: "model" | "verbatim";
  references: number[];
  coverage: number;
  entailment?: number | null;
}
export interface LiteratureAnswer {
  question: string;
  answered: boolean;
  sentences: AnswerSentence[];
  verbatim_share: number | null;
  removed: { text: string; reason: string }[];
  evidence: { number: number; study_type: string; year: number | null; finding: string; retraction: string }[];
  conflicts: { numbers: [number, number]; first: string; second: string; reason: string }[];
  passages: CitedPassage[];
  references: string[];
  sufficiency: number;
  sufficiency_threshold: number;
  model: string | null;
  mode: string;
  warnings: string[];
  caution: string;
}
/** Nothing is kept of questions unless the user saves an answer: GET /api/literature/answers -> SavedAnswer[] (one's own); POST {library,
 *  answer} -> SavedAnswer; DELETE /api/literature/answers/{number}. */
export interface SavedAnswer {
  number: number;
  library: string;
  question: string;
  answer: LiteratureAnswer;
  saved_at: string;
}

// ---- patients' records -------------------------------------------------------------------------------------------
export type Severity = "info" | "warning" | "critical";
export type RecordKind =
  | "encounter"
  | "condition"
  | "medication"
  | "allergy"
  | "procedure"
  | "immunization"
  | "report"
  | "note"
  | "measurement"
  | "order"
  | "plan"
  | "family history"
  | "other";
export type SummaryForm = "summary" | "ipass" | "discharge" | "referral";
export interface AlarmCounts {
  critical: number;
  warning: number;
  info: number;
  handled: number;
}
/** GET /api/patients?text=&source=&limit=&offset= -> PatientsPage. `id` is the record's number here and in every address. */
export interface PatientEntry {
  id: number;
  name: string;
  birth_date: string;
  sex: string;
  identifiers: { value: string; issuer: string }[];
  source: string;
  uploaded: boolean;
  entries: number;
  newest: string | null;
  alarms: AlarmCounts;
}
export interface RecordSource {
  name: string;
  kind: "folder" | "fhir" | "uploads";
  state: "waiting" | "reading" | "ready" | "failed";
  records: number;
  files: number;
  read: number;
  problem: string;
  at: string | null;
}
export interface PatientsPage {
  total: number;
  entries: PatientEntry[];
  sources: RecordSource[];
  following: boolean;
  now: string;
}
/** POST /api/records?name= (reader): a FHIR bundle or NDJSON as the body, also in gzip -> UploadedRecord; DELETE /api/records/{id} takes
 *  an uploaded record away (its audit trail and alarms stay). */
export interface UploadedRecord {
  patients: PatientEntry[];
  known: boolean;
  problems: string[];
}
/** A statement laid out by rule; `cites` are ids as "Observation/1". */
export interface Cited {
  text: string;
  cites: string[];
}
export interface MedicationLine extends Cited {
  state: "current" | "stopped" | "on hold" | "other";
  change: string;
}
export interface EncounterLine {
  id: string;
  title: string;
  setting: string;
  status: string;
  start: string;
  end: string;
  reasons: string;
}
export interface PatientStudy {
  study: string;
  date: string;
  description: string;
  modalities: string[];
  state: string;
  certain: boolean;
  why: string;
}
/** GET /api/patients/{id} -> PatientRecord. While `state` is "reading" ask again; the other paths below it wait. */
export interface PatientRecord {
  id: number;
  state: "reading" | "ready" | "failed";
  reading: { bytes: number; seconds: number; stage: string } | null;
  problem: string;
  name: string;
  birth_date: string;
  sex: string;
  age: string;
  died: string;
  identifiers: { value: string; issuer: string }[];
  source: string;
  uploaded: boolean;
  as_of: string | null;
  stale: boolean;
  entries: number;
  allergies: Cited[];
  allergies_stated: boolean;
  problems: Cited[];
  medications: MedicationLine[];
  encounters: EncounterLine[];
  encounters_total: number;
  studies: PatientStudy[];
  /** Other records that may be of the same person: never merged. */
  others: PatientEntry[];
  excluded: string[];
  reading_problems: string[];
  alarms: AlarmCounts;
  summary_by: string;
  summary_note: string;
}
/** GET /api/patients/{id}/timeline?kind=&kind=&text=&start=&end=&limit=&offset= -> TimelinePage. */
export interface TimelineEntry {
  id: string;
  kind: RecordKind;
  title: string;
  detail: string;
  status: string;
  time: string;
  precision: string;
  start: string | null;
  end: string | null;
  known: string;
  negated: boolean;
  abnormal: boolean;
}
export interface TimelinePage {
  total: number;
  entries: TimelineEntry[];
  kinds: Record<string, number>;
  first: string | null;
  last: string | null;
  start: string | null;
  end: string | null;
  slots: number;
  bars: { kind: RecordKind; slot: number; count: number }[];
  undated: number;
}
/** GET /api/patients/{id}/trends?key=&key= -> Trends: all quantities, and the series of those that are named. */
export interface TrendPoint {
  id: string;
  at: string;
  value: number;
  shown: string;
  comparator: string;
  low: number | null;
  high: number | null;
  flag: string;
  status: string;
  flagged: string;
}
export interface TrendSeries {
  key: string;
  name: string;
  unit: string;
  unit_note: string;
  points: TrendPoint[];
  unplotted: { id: string; at: string; shown: string; why: string }[];
  more: number;
  band_low: number | null;
  band_high: number | null;
  band_text: string;
  slope: string;
}
export interface TrendChoice {
  key: string;
  name: string;
  count: number;
  plotted: number;
  newest: string;
  at: string;
  abnormal: boolean;
  flagged: string;
}
export interface Trends {
  choices: TrendChoice[];
  series: TrendSeries[];
}
/** GET /api/patients/{id}/flags?at=now|newest -> RecordFlags. */
export interface FlagEvidence {
  id: string;
  name: string;
  shown: string;
  at: string | null;
}
export interface RecordFlag {
  episode: string;
  rule: string;
  version: number;
  title: string;
  problem: string;
  severity: Severity;
  text: string;
  since: string;
  evidence: FlagEvidence[];
  source: string;
  url: string;
  missing: string[];
  notes: string[];
  advice: string;
}
export interface RecordFlags {
  at: string;
  flags: RecordFlag[];
  not_assessed: { rule: string; title: string; kind: "outside" | "missing" | "unread"; reason: string }[];
  problems: string[];
  disclaimer: string;
}
/** GET /api/patients/{id}/summary?form=&question= -> RecordSummary, by rule at once. GET .../summary/draft?form=&question= (server-sent,
 *  reader): "begun" {sections: titles, model}, "section" {index, section: SummarySection}, "done" RecordSummary, "failed" {message}. */
export interface StatedLine extends Cited {
  by: "rule" | "model";
}
export interface SummarySection {
  title: string;
  statements: StatedLine[];
  by: "rule" | "model";
  note: string;
}
export interface StruckLine extends Cited {
  section: string;
  reason: string;
}
export interface RecordSummary {
  model: string;
  form: SummaryForm;
  as_of: string;
  sections: SummarySection[];
  omissions: { kind: string; text: string; cites: string[] }[];
  struck: StruckLine[];
  excluded: string[];
  problems: string[];
  warnings: string[];
  caution: string;
}
/** POST /api/patients/{id}/ask {question} (reader) -> RecordAnswered. */
export interface RecordAnswered {
  question: string;
  found: boolean;
  statements: StatedLine[];
  facts: StatedLine[];
  struck: StruckLine[];
  warnings: string[];
  model: string;
  caution: string;
}
/** GET /api/patients/{id}/resource?id=Observation/1 -> SourceResource: read-only. */
export interface SourceResource {
  id: string;
  where: string;
  text: string;
  cut: boolean;
  facts: string[][];
}
/** GET /api/studies/{uid}/records -> StudyRecord[]: records of a study's patient. */
export interface StudyRecord {
  id: number;
  name: string;
  birth_date: string;
  source: string;
  certain: boolean;
  why: string;
  alarms: AlarmCounts;
}

// ---- alarms of the watch over records --------------------------------------------------------------------------------
export type AlarmActName = "acknowledge" | "snooze" | "close" | "reopen";
export type AlarmState = "open" | "acknowledged" | "snoozed" | "closed" | "ended";
export interface AlarmAct {
  act: AlarmActName;
  login: string;
  why: string;
  until: string | null;
  at: string;
  held: boolean;
}
export interface AlarmTelling {
  id: number;
  event: "new" | "worse" | "ended";
  severity: Severity | null;
  text: string;
  raised: string;
  told: string;
  reason: string;
}
/** GET /api/alarms?state=&severity=&rule=&patient=&text=&limit=&offset= -> AlarmsPage. POST /api/alarms/{id}/acts NewAlarmAct -> Alarm;
 *  409 stale_alarm where it got worse meanwhile. GET /api/alarms/totals -> AlarmTotals. GET /api/alarms/{id}/explanation -> Explained. */
export interface Alarm {
  id: string;
  patient: number;
  name: string;
  birth_date: string;
  sex: string;
  rule: string;
  version: number;
  title: string;
  problem: string;
  state: AlarmState;
  severity: Severity;
  worst: Severity;
  text: string;
  since: string;
  raised: string;
  changed: string;
  ended: string | null;
  ended_reason: string;
  evidence: FlagEvidence[];
  source: string;
  url: string;
  missing: string[];
  notes: string[];
  advice: string;
  related: string[];
  tellings: AlarmTelling[];
  acts: AlarmAct[];
  seen: number;
  worse_since_act: boolean;
}
export interface AlarmsPage {
  total: number;
  alarms: Alarm[];
  counts: AlarmCounts;
  states: Record<AlarmState, number>;
  rules: Record<string, string>;
  following: { on: boolean; records: number; judged_at: string | null; late: boolean; problems: string[] };
  now: string;
}
export interface AlarmTotals {
  counts: AlarmCounts;
}
export interface NewAlarmAct {
  act: AlarmActName;
  seen: number;
  why: string;
  minutes: number | null;
}
/** In GET /api/events: event "alarm" with an id. */
export interface AlarmEvent {
  patient: number;
  action: string;
  user: string;
  at: string;
}
export interface Explained {
  text: string;
  model: string;
  note: string;
}
/** GET /api/rules -> Rules; PUT /api/rules/{id} SwitchRule (admin) -> Rules. */
export interface RuleLine {
  id: string;
  version: number;
  title: string;
  problem: string;
  author: string;
  approved_by: string;
  approved_at: string;
  source: string;
  url: string;
  origin: string;
  kind: string;
  applies: string;
  advice: string;
  state: "in use" | "switched off" | "withdrawn" | "replaced";
  note: string;
  alarms: number;
}
export interface Rules {
  rules: RuleLine[];
  changes: { rule: string; on: boolean; login: string; why: string; at: string }[];
  folder: string;
  may_switch: boolean;
}
export interface SwitchRule {
  on: boolean;
  why: string;
}
