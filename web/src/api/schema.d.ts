// Made from the server's schema by `npm run api`: not written by hand.
// openapi sha256: 7ea99de9796b43af95a5821b75bb7b7b696116e2026e7be0ac0fa5599a29d0eb
export type paths = Record<string, never>;
export type webhooks = Record<string, never>;
export interface components {
    schemas: {
        /**
         * About
         * @description The examination.
         */
        About: {
            /** Accession */
            accession: string;
            /** Date */
            date: string;
            /** Description */
            description: string;
            /** Identifier */
            identifier: string;
            /** Referrer */
            referrer: string;
            /** Time */
            time: string;
        };
        /**
         * Acknowledge
         * @description Acknowledgement of an emergency: what was done.
         */
        Acknowledge: {
            /**
             * How
             * @enum {string}
             */
            how: "patient called" | "ambulance called" | "patient is here" | "handed over" | "other";
            /**
             * Note
             * @default
             */
            note: string;
        };
        /**
         * AddendumRequest
         * @description An addendum to a signed report.
         */
        AddendumRequest: {
            /** Password */
            password: string;
            /** Text */
            text: string;
        };
        /**
         * Agreement
         * @description Readers' verdicts on a model's drafts in a month; `agreed` is the share of accepted ones among the judged.
         */
        Agreement: {
            /** Accepted */
            accepted: number;
            /** Added */
            added: number;
            /** Agreed */
            agreed: number | null;
            /** Edited */
            edited: number;
            /** Judged */
            judged: number;
            /** Kind */
            kind: string;
            /** Model */
            model: string;
            /** Month */
            month: string;
            /** Rejected */
            rejected: number;
            /** Revision */
            revision: string;
            /** Unchanged */
            unchanged: number;
        };
        /**
         * Alarm
         * @description An alarm: one condition of one rule, as long as it lasts, with all that was told and done.
         *
         *     `severity` and `text` are as it stands now, `worst` the worst that was told; `seen` goes back with an act.
         */
        Alarm: {
            /** Acts */
            acts: components["schemas"]["AlarmAct"][];
            /** Advice */
            advice: string;
            /** Birth Date */
            birth_date: string;
            /** Changed */
            changed: string;
            /** Ended */
            ended: string | null;
            /** Ended Reason */
            ended_reason: string;
            /** Evidence */
            evidence: components["schemas"]["FlagEvidence"][];
            /** Id */
            id: string;
            /** Missing */
            missing: string[];
            /** Name */
            name: string;
            /** Notes */
            notes: string[];
            /** Patient */
            patient: number;
            /** Problem */
            problem: string;
            /** Raised */
            raised: string;
            /** Related */
            related: string[];
            /** Rule */
            rule: string;
            /** Seen */
            seen: number;
            /**
             * Severity
             * @enum {string}
             */
            severity: "info" | "warning" | "critical";
            /** Sex */
            sex: string;
            /** Since */
            since: string;
            /** Source */
            source: string;
            /**
             * State
             * @enum {string}
             */
            state: "open" | "acknowledged" | "snoozed" | "closed" | "ended";
            /** Tellings */
            tellings: components["schemas"]["AlarmTelling"][];
            /** Text */
            text: string;
            /** Title */
            title: string;
            /** Url */
            url: string;
            /** Version */
            version: number;
            /** Worse Since Act */
            worse_since_act: boolean;
            /**
             * Worst
             * @enum {string}
             */
            worst: "info" | "warning" | "critical";
        };
        /**
         * AlarmAct
         * @description An act of a person on an alarm. `held`: it holds still; a worsening after it ends it.
         */
        AlarmAct: {
            /**
             * Act
             * @enum {string}
             */
            act: "acknowledge" | "snooze" | "close" | "reopen";
            /** At */
            at: string;
            /** Held */
            held: boolean;
            /** Login */
            login: string;
            /** Until */
            until: string | null;
            /** Why */
            why: string;
        };
        /**
         * AlarmCounts
         * @description Count of open alarms that nobody has acknowledged, by severity; `handled`: acknowledged, snoozed or closed.
         */
        AlarmCounts: {
            /**
             * Critical
             * @default 0
             */
            critical: number;
            /**
             * Handled
             * @default 0
             */
            handled: number;
            /**
             * Info
             * @default 0
             */
            info: number;
            /**
             * Warning
             * @default 0
             */
            warning: number;
        };
        /**
         * AlarmTelling
         * @description An event of an alarm: raised, worse, or ended with its reason.
         */
        AlarmTelling: {
            /**
             * Event
             * @enum {string}
             */
            event: "new" | "worse" | "ended";
            /** Id */
            id: number;
            /** Raised */
            raised: string;
            /** Reason */
            reason: string;
            /** Severity */
            severity: ("info" | "warning" | "critical") | null;
            /** Text */
            text: string;
            /** Told */
            told: string;
        };
        /**
         * AlarmTotals
         * @description Count of open alarms that nobody has acknowledged, of all patients.
         */
        AlarmTotals: {
            counts: components["schemas"]["AlarmCounts"];
        };
        /**
         * AlarmsPage
         * @description A page of alarms, the most severe first; `rules`: those that have alarms, for the filter.
         */
        AlarmsPage: {
            /** Alarms */
            alarms: components["schemas"]["Alarm"][];
            counts: components["schemas"]["AlarmCounts"];
            following: components["schemas"]["Following"];
            /** Now */
            now: string;
            /** Rules */
            rules: {
                [key: string]: string;
            };
            /** States */
            states: {
                [key: string]: number;
            };
            /** Total */
            total: number;
        };
        /**
         * AnswerSentence
         * @description A sentence of the answer.
         *
         *     Attributes:
         *         kind: "verbatim" stands word for word in the passage; "model" was written by the model and passed every check.
         *         references: numbers of the passages that support it.
         *         coverage: the share of its telling words that those passages have, 0..1.
         *         entailment: the model's own probability that the passage supports it; None where it was not asked.
         */
        AnswerSentence: {
            /** Coverage */
            coverage: number;
            /** Entailment */
            entailment?: number | null;
            /**
             * Kind
             * @enum {string}
             */
            kind: "model" | "verbatim";
            /** References */
            references: number[];
            /** Text */
            text: string;
        };
        /**
         * Answered
         * @description An answer; `answered` is False where it only says why there is none.
         */
        Answered: {
            /** Answer */
            answer: string;
            /** Answered */
            answered: boolean;
            /** Caution */
            caution: string;
            /** Model */
            model: string;
            /** Question */
            question: string;
            /** Warnings */
            warnings: string[];
        };
        /**
         * ApiToken
         * @description A token; `token` itself is shown once, when it is made.
         */
        ApiToken: {
            /**
             * Created At
             * Format: date-time
             */
            created_at: string;
            /** Expires At */
            expires_at: string | null;
            /** Id */
            id: number;
            /** Last Used At */
            last_used_at: string | null;
            /** Name */
            name: string;
            /** Scopes */
            scopes: ("model" | "read" | "write" | "dicomweb" | "audit")[];
            /** Token */
            token?: string | null;
        };
        /**
         * Ask
         * @description A question about images of a study; about those of its draft where none is named.
         */
        Ask: {
            /**
             * Images
             * @default []
             */
            images: string[];
            /** Question */
            question: string;
        };
        /**
         * AskLiterature
         * @description A question to a library. `written` false: the passages' own words alone, no model.
         */
        AskLiterature: {
            /**
             * Journal
             * @default
             */
            journal: string;
            /** Question */
            question: string;
            /** Since */
            since?: number | null;
            /**
             * Types
             * @default []
             */
            types: string[];
            /** Until */
            until?: number | null;
            /**
             * Written
             * @default true
             */
            written: boolean;
        };
        /**
         * AskRecord
         * @description A question about a record.
         */
        AskRecord: {
            /** Question */
            question: string;
        };
        /**
         * Attempt
         * @description An attempt to tell somebody of a critical result.
         */
        Attempt: {
            /** At */
            at: string;
            /** How */
            how: string;
            /** Login */
            login: string;
            /** Note */
            note: string;
            /** Outcome */
            outcome: string;
            /** Whom */
            whom: string;
        };
        /**
         * AuditEvent
         * @description An event of the trail. `study` is a Study Instance UID, or the login that the event is about.
         */
        AuditEvent: {
            /** Action */
            action: string;
            /** At */
            at: string;
            /** Detail */
            detail: {
                [key: string]: unknown;
            };
            /** Number */
            number: number;
            /** Outcome */
            outcome: string;
            /** Study */
            study: string;
            /** User */
            user: string;
        };
        /**
         * AuditPage
         * @description Events, the newest first; `next` is the `before` of the next page.
         */
        AuditPage: {
            /** Actions */
            actions: string[];
            /** Events */
            events: components["schemas"]["AuditEvent"][];
            /** Next */
            next: number | null;
        };
        /**
         * Cited
         * @description A statement laid out by rule, with the resources that it rests on.
         */
        Cited: {
            /** Cites */
            cites: string[];
            /** Text */
            text: string;
        };
        /**
         * Conflict
         * @description Two papers that say opposite things, in their own words.
         */
        Conflict: {
            /** First */
            first: string;
            /** Numbers */
            numbers: [
                number,
                number
            ];
            /** Reason */
            reason: string;
            /** Second */
            second: string;
        };
        /**
         * CriticalResult
         * @description A critical result with the attempts to tell of it.
         */
        CriticalResult: {
            /** At */
            at: string;
            /** Attempts */
            attempts: components["schemas"]["Attempt"][];
            /** Finding */
            finding: string;
            /** Id */
            id: number;
            /** Open */
            open: boolean;
            /** Raised By */
            raised_by: string;
        };
        /**
         * Delivery
         * @description A signed version on its way. `at`: when it was acknowledged, or when it is tried next.
         */
        Delivery: {
            /** At */
            at: string | null;
            /** Attempts */
            attempts: number;
            /** Destination */
            destination: string;
            /** Error */
            error: string;
            /** State */
            state: string;
            /** Study */
            study: string;
            /** Version */
            version: number;
        };
        /**
         * DocumentLine
         * @description A line of a structured report: how deep it lies, its name and its text.
         */
        DocumentLine: {
            /** Depth */
            depth: number;
            /** Name */
            name: string;
            /** Text */
            text: string;
        };
        /**
         * DocumentMeasurement
         * @description A measurement of a structured report.
         */
        DocumentMeasurement: {
            /** Name */
            name: string;
            /** Of */
            of: string;
            /** Unit */
            unit: string;
            /** Value */
            value: number;
        };
        /**
         * DraftVersion
         * @description A draft. Of one from outside `outside` has the content.
         */
        DraftVersion: {
            /** Applied */
            applied: boolean;
            /** At */
            at: string;
            /** Caution */
            caution: string;
            /** Confidence */
            confidence: components["schemas"]["SentenceConfidence"][];
            /** Findings */
            findings: components["schemas"]["ScoredFinding"][];
            /** Model */
            model: string;
            /** Number */
            number: number;
            /**
             * Origin
             * @enum {string}
             */
            origin: "model" | "outside";
            outside: components["schemas"]["Outside"] | null;
            /**
             * Priority
             * @enum {string}
             */
            priority: "routine" | "urgent" | "critical";
            /** Regions */
            regions: components["schemas"]["Region"][];
            /** Revision */
            revision: string;
            sections: components["schemas"]["Sections"];
            /** Warnings */
            warnings: components["schemas"]["DraftWarning"][];
        };
        /**
         * DraftWarning
         * @description Warning of a draft. `sentence`: which it is about, "" if it is about the whole.
         */
        DraftWarning: {
            /** Sentence */
            sentence: string;
            /** Text */
            text: string;
        };
        /**
         * EncounterLine
         * @description A contact with care.
         */
        EncounterLine: {
            /** End */
            end: string;
            /** Id */
            id: string;
            /** Reasons */
            reasons: string;
            /** Setting */
            setting: string;
            /** Start */
            start: string;
            /** Status */
            status: string;
            /** Title */
            title: string;
        };
        /**
         * Entry
         * @description A line of the worklist; `age` as DICOM's AS (057Y), "" where it is not known.
         *
         *     `critical` counts the critical results that nobody has read back yet.
         */
        Entry: {
            /** Accession */
            accession: string;
            /** Age */
            age: string;
            /** Arrived At */
            arrived_at: string;
            /** Assessed */
            assessed: boolean;
            /** Birth Date */
            birth_date: string;
            /** Concern */
            concern: number;
            /**
             * Critical
             * @default 0
             */
            critical: number;
            /** Date */
            date: string;
            /** Description */
            description: string;
            /** Images */
            images: number;
            intake?: components["schemas"]["IntakeBadge"] | null;
            /** Modalities */
            modalities: string[];
            /** Notice */
            notice: string;
            /** Opened By */
            opened_by: string;
            /** Patient Id */
            patient_id: string;
            /** Patient Name */
            patient_name: string;
            /** Reason */
            reason: string;
            /** Sex */
            sex: string;
            /**
             * State
             * @enum {string}
             */
            state: "arrived" | "settled" | "drafted" | "opened" | "preliminary" | "final" | "amended" | "addendum";
            /** Study */
            study: string;
            /** Time */
            time: string;
            /**
             * Urgency
             * @enum {string}
             */
            urgency: "routine" | "urgent" | "stat";
        };
        /**
         * EvidenceOnImage
         * @description Evidence on one image for a statement. `map` is the address of a PNG of the stored image's shape.
         */
        EvidenceOnImage: {
            /** About */
            about: string;
            /** Assessed */
            assessed: boolean;
            /** Frame */
            frame: number | null;
            /** Image */
            image: string;
            /** Map */
            map: string | null;
            /** Note */
            note: string;
            /** Regions */
            regions: components["schemas"]["EvidenceRegion"][];
            /** Shares */
            shares: number[];
            /** Sides */
            sides: string[];
            /** Warnings */
            warnings: string[];
        };
        /**
         * EvidenceRegion
         * @description A box in pixels of the stored image.
         */
        EvidenceRegion: {
            /** Box */
            box: [
                number,
                number,
                number,
                number
            ];
            /** Frame */
            frame: number | null;
            /** Image */
            image: string;
            /** Label */
            label: string;
            /** Note */
            note: string;
            /** Probability */
            probability: number | null;
        };
        /**
         * EvidenceRow
         * @description A row of the evidence table: the paper's sentence that answers the question best.
         */
        EvidenceRow: {
            /** Finding */
            finding: string;
            /** Number */
            number: number;
            /** Retraction */
            retraction: string;
            /** Study Type */
            study_type: string;
            /** Year */
            year: number | null;
        };
        /**
         * Explained
         * @description A model's wording of an alarm, checked against what the rule found; `text` is "" where it did not hold.
         */
        Explained: {
            /** Model */
            model: string;
            /** Note */
            note: string;
            /** Text */
            text: string;
        };
        /**
         * FailingDelivery
         * @description A delivery whose last attempt failed.
         */
        FailingDelivery: {
            /** Attempts */
            attempts: number;
            /** Destination */
            destination: string;
            /** Error */
            error: string;
            /** Next At */
            next_at: string;
        };
        /**
         * FlagEvidence
         * @description A fact that a flag rests on.
         */
        FlagEvidence: {
            /** At */
            at: string | null;
            /** Id */
            id: string;
            /** Name */
            name: string;
            /** Shown */
            shown: string;
        };
        /**
         * FlowStatus
         * @description Count of what there is to do, and what fails.
         */
        FlowStatus: {
            /** At */
            at: string;
            /** Critical Open */
            critical_open: number;
            /** Deliveries */
            deliveries: {
                [key: string]: number;
            };
            /** Failing */
            failing: components["schemas"]["FailingDelivery"][];
            /** Jobs */
            jobs: {
                [key: string]: number;
            };
            /** Studies */
            studies: {
                [key: string]: number;
            };
        };
        /**
         * Following
         * @description The watch: whether it is on, when records were last judged, and what it cannot do; `late`: it is behind.
         */
        Following: {
            /** Judged At */
            judged_at: string | null;
            /** Late */
            late: boolean;
            /** On */
            on: boolean;
            /** Problems */
            problems: string[];
            /** Records */
            records: number;
        };
        /**
         * Found
         * @description Passages of a search, best first.
         */
        Found: {
            /** Hits */
            hits: components["schemas"]["FoundPassage"][];
            /**
             * Mode
             * @enum {string}
             */
            mode: "hybrid" | "lexical";
            /** Warnings */
            warnings: string[];
        };
        /**
         * FoundPassage
         * @description A passage that was found, with its paper.
         */
        FoundPassage: {
            paper: components["schemas"]["PaperInfo"];
            passage: components["schemas"]["PassageInfo"];
        };
        /**
         * Graphic
         * @description A mark that another system drew, in pixels of the stored image.
         */
        Graphic: {
            /** Closed */
            closed: boolean;
            /** Frame */
            frame: number | null;
            /** Image */
            image: string;
            /**
             * Kind
             * @enum {string}
             */
            kind: "point" | "polyline" | "circle" | "ellipse" | "text";
            /** Points */
            points: [
                number,
                number
            ][];
            /** Source */
            source: string;
            /** Text */
            text: string;
        };
        /**
         * Identifier
         * @description A patient's number, and who issued it ("" where nobody says).
         */
        Identifier: {
            /** Issuer */
            issuer: string;
            /** Value */
            value: string;
        };
        /**
         * ImageInfo
         * @description A frame of an image. `frame` is from 1. `notes` say what a reader must know of its grey values.
         */
        ImageInfo: {
            /** Calibrated Within */
            calibrated_within: [
                number,
                number,
                number,
                number
            ][];
            /**
             * Calibration
             * @enum {string}
             */
            calibration: "calibrated" | "at detector" | "pixels only";
            /** Calibration Note */
            calibration_note: string;
            /** Cine Rate */
            cine_rate: number | null;
            /** Columns */
            columns: number;
            /**
             * Dtype
             * @enum {string}
             */
            dtype: "uint8" | "int16" | "uint16" | "float32";
            /** Frame */
            frame: number;
            /** Frame Of Reference */
            frame_of_reference: string;
            /** Greatest */
            greatest: number | null;
            /** Inverted */
            inverted: boolean;
            /** Laterality */
            laterality: string;
            /** Least */
            least: number | null;
            /** Lossy */
            lossy: boolean;
            /** Notes */
            notes: string[];
            /** Number */
            number: string;
            /** Orientation */
            orientation: [
                number,
                number,
                number,
                number,
                number,
                number
            ] | null;
            /** Patient Orientation */
            patient_orientation: [
                string,
                string
            ] | null;
            /** Position */
            position: [
                number,
                number,
                number
            ] | null;
            /** Problem */
            problem: string;
            /** Rows */
            rows: number;
            /**
             * Samples
             * @enum {integer}
             */
            samples: 1 | 3;
            /** Spacing */
            spacing: [
                number,
                number
            ] | null;
            turn: components["schemas"]["ImageTurn"] | null;
            /** Uid */
            uid: string;
            /** Unit */
            unit: string;
            /** View */
            view: string;
            /** Window */
            window: components["schemas"]["Window"][];
        };
        /**
         * ImageTurn
         * @description The turn to the view that readers are used to: rows become columns, then their orders are reversed.
         */
        ImageTurn: {
            /** Flip Columns */
            flip_columns: boolean;
            /** Flip Rows */
            flip_rows: boolean;
            /** Transpose */
            transpose: boolean;
        };
        /**
         * Intake
         * @description An intake as a clinician reads it. `summary` is null before there is one, and of one by another version.
         */
        Intake: {
            /** Has Fhir */
            has_fhir: boolean;
            line: components["schemas"]["IntakeLine"];
            summary: components["schemas"]["IntakeSummary"] | null;
            /** Text */
            text: string;
            /** Transcript */
            transcript: components["schemas"]["IntakeTurn"][];
        };
        /**
         * IntakeBadge
         * @description An intake beside a study: the newest of its patient. `certain`: a name or birth date agrees, not the ID alone.
         */
        IntakeBadge: {
            /** At */
            at: string;
            /** Certain */
            certain: boolean;
            /** Complaint */
            complaint: string;
            /**
             * Level
             * @enum {string}
             */
            level: "routine" | "soon" | "urgent" | "emergency";
            /** Name */
            name: string;
            /** Seen */
            seen: boolean;
            /**
             * Status
             * @enum {string}
             */
            status: "waiting" | "consent" | "asking" | "finished" | "emergency" | "unfinished" | "declined" | "expired" | "revoked";
        };
        /**
         * IntakeFinding
         * @description A finding; `quote` in the patient's words, "" where it was chosen from a list; `denied` in another answer.
         */
        IntakeFinding: {
            /** Denied */
            denied: boolean;
            /** Label */
            label: string;
            /** Quote */
            quote: string;
        };
        /**
         * IntakeLine
         * @description A line of the list. `expires_at` of the link and of the phone that used it; `asked` questions so far.
         */
        IntakeLine: {
            /** Asked */
            asked: number;
            /** Complaint */
            complaint: string;
            /** Ended At */
            ended_at: string | null;
            /** Expires At */
            expires_at: string;
            /**
             * Level
             * @enum {string}
             */
            level: "routine" | "soon" | "urgent" | "emergency";
            /** Link Used */
            link_used: boolean;
            /** Made At */
            made_at: string;
            /** Made By */
            made_by: string;
            /** Marks */
            marks: components["schemas"]["IntakeMark"][];
            /** Name */
            name: string;
            /** Note */
            note: string;
            patient: components["schemas"]["IntakePatient"];
            /** Reason */
            reason: string;
            /**
             * Status
             * @enum {string}
             */
            status: "waiting" | "consent" | "asking" | "finished" | "emergency" | "unfinished" | "declined" | "expired" | "revoked";
        };
        /**
         * IntakeLink
         * @description A one-time link, told once: `path` under the server's address; `url` where that is known.
         */
        IntakeLink: {
            line: components["schemas"]["IntakeLine"];
            /** Path */
            path: string;
            /** Url */
            url: string;
        };
        /**
         * IntakeList
         * @description Intakes by level, then by waiting. `counts` of each view, `page` whether this server asks patients itself.
         */
        IntakeList: {
            /** Address */
            address: string;
            /** Counts */
            counts: {
                [key: string]: number;
            };
            /** Intakes */
            intakes: components["schemas"]["IntakeLine"][];
            /** Now */
            now: string;
            /** Page */
            page: boolean;
            /** Total */
            total: number;
        };
        /**
         * IntakeMark
         * @description A person's mark: "seen", or "acknowledged" with what was done.
         */
        IntakeMark: {
            /** At */
            at: string;
            /** How */
            how: string;
            /**
             * Kind
             * @enum {string}
             */
            kind: "seen" | "acknowledged";
            /** Login */
            login: string;
            /** Note */
            note: string;
        };
        /**
         * IntakePatient
         * @description The patient as the clinic named him; `name` as DICOM has it, the date as 20260131.
         */
        IntakePatient: {
            /** Birth Date */
            birth_date: string;
            /** Identifier */
            identifier: string;
            /** Issuer */
            issuer: string;
            /** Name */
            name: string;
            /** Sex */
            sex: string;
        };
        /**
         * IntakeReason
         * @description A rule that gave a level; `possible`: it would give more if what is not known were so.
         */
        IntakeReason: {
            /**
             * Level
             * @enum {string}
             */
            level: "routine" | "soon" | "urgent" | "emergency";
            /** Possible */
            possible: boolean;
            /** Reviewed */
            reviewed: boolean;
            /** Rule */
            rule: string;
            /** Source */
            source: string;
            /** Text */
            text: string;
        };
        /**
         * IntakeSaid
         * @description An item of the history with its answer.
         */
        IntakeSaid: {
            /** Label */
            label: string;
            /** Value */
            value: string;
        };
        /**
         * IntakeSummary
         * @description The pre-visit summary in the clinician's order, red flags first. All provisional.
         */
        IntakeSummary: {
            /** Age */
            age: string;
            /** Allergies */
            allergies: string;
            /** Answered By */
            answered_by: string;
            /** Caution */
            caution: string;
            /** Chief Complaint */
            chief_complaint: string;
            /** Complaint */
            complaint: string;
            /** History */
            history: components["schemas"]["IntakeSaid"][];
            /** Medications */
            medications: string;
            /** Model */
            model: string;
            /** Negatives */
            negatives: components["schemas"]["IntakeFinding"][];
            /** Not Asked */
            not_asked: string[];
            /** Not Known */
            not_known: components["schemas"]["IntakeFinding"][];
            /** Other */
            other: string;
            /** Past History */
            past_history: components["schemas"]["IntakeFinding"][];
            /** Positives */
            positives: components["schemas"]["IntakeFinding"][];
            /** Pregnancy */
            pregnancy: string;
            /** Questions */
            questions: number;
            /** Reasons */
            reasons: components["schemas"]["IntakeReason"][];
            /** Red Flags */
            red_flags: components["schemas"]["IntakeFinding"][];
            /** Sex */
            sex: string;
        };
        /**
         * IntakeTurn
         * @description A question with its answer: what was said, and which options that was read as.
         */
        IntakeTurn: {
            /** Asked */
            asked: string;
            /** Chosen */
            chosen: string[];
            /** Chosen By */
            chosen_by: string;
            /** Known */
            known: boolean;
            /** Said */
            said: string;
        };
        JsonValue: unknown;
        /**
         * KeepAnswer
         * @description An answer to be kept for the caller.
         */
        KeepAnswer: {
            answer: components["schemas"]["LiteratureAnswer"];
            /** Library */
            library: string;
        };
        /**
         * LeftOut
         * @description Something that counts and that no statement cites.
         */
        LeftOut: {
            /** Cites */
            cites: string[];
            /** Kind */
            kind: string;
            /** Text */
            text: string;
        };
        /**
         * Libraries
         * @description The libraries of this server; `model`: whether one is loaded that can write, else passages answer alone.
         */
        Libraries: {
            /** Libraries */
            libraries: components["schemas"]["LibraryInfo"][];
            /** Model */
            model: string;
            /** Study Types */
            study_types: string[];
        };
        /**
         * LibraryInfo
         * @description A library. `own` is the command line's; `making`: vectors are being made, `vectors` of `passages` are there.
         *
         *     `lexical` says why it is searched by words alone, "" where it is not; `listed` whether retractions were imported.
         */
        LibraryInfo: {
            /** Lexical */
            lexical: string;
            /** Listed */
            listed: boolean;
            /** Making */
            making: boolean;
            /** Name */
            name: string;
            /** Own */
            own: boolean;
            /** Papers */
            papers: number;
            /** Passages */
            passages: number;
            /** Problem */
            problem: string;
            /** Retracted */
            retracted: number;
            /** Size */
            size: number;
            /** Vectors */
            vectors: number;
        };
        /**
         * LiteratureAnswer
         * @description An answer from a library.
         *
         *     Attributes:
         *         answered: False where the library does not hold enough; `sentences` is empty then.
         *         sentences: in order.
         *         verbatim_share: of the sentences, those that are the passages' own words; None without sentences.
         *         removed: what the model wrote and no passage supports.
         *         passages: those that sentences, table and conflicts refer to.
         *         references: Vancouver style, by number.
         *         sufficiency: how well the best passage fits the question, and the least that is answered.
         *         model: None where none was asked.
         *         mode: "hybrid" or "lexical", by which passages were found.
         */
        LiteratureAnswer: {
            /** Answered */
            answered: boolean;
            /** Caution */
            caution: string;
            /** Conflicts */
            conflicts: components["schemas"]["Conflict"][];
            /** Evidence */
            evidence: components["schemas"]["EvidenceRow"][];
            /** Mode */
            mode: string;
            /** Model */
            model: string | null;
            /** Passages */
            passages: components["schemas"]["PassageReference"][];
            /** Question */
            question: string;
            /** References */
            references: string[];
            /** Removed */
            removed: components["schemas"]["RemovedSentence"][];
            /** Sentences */
            sentences: components["schemas"]["AnswerSentence"][];
            /** Sufficiency */
            sufficiency: number;
            /** Sufficiency Threshold */
            sufficiency_threshold: number;
            /** Verbatim Share */
            verbatim_share: number | null;
            /** Warnings */
            warnings: string[];
        };
        /**
         * Macro
         * @description A name that stands for a text.
         */
        Macro: {
            /** Name */
            name: string;
            /** Text */
            text: string;
        };
        /**
         * May
         * @description Acts that the signed-in user may do now.
         */
        May: {
            /** Addend */
            addend: boolean;
            /** Correct */
            correct: boolean;
            /** Edit */
            edit: boolean;
            /** Sign */
            sign: boolean;
        };
        /**
         * Measured
         * @description A measurement that stands.
         */
        Measured: {
            /** At */
            at: string;
            /**
             * Calibration
             * @enum {string}
             */
            calibration: "calibrated" | "at detector" | "pixels only";
            /** Frame */
            frame: number | null;
            /** Id */
            id: number;
            /** Image */
            image: string;
            /** Login */
            login: string;
            /** Name */
            name: string;
            /** Points */
            points: [
                number,
                number
            ][];
            /** Unit */
            unit: string;
            /** Value */
            value: number;
        };
        /**
         * MedicationLine
         * @description A drug: `state` "current", "stopped", "on hold" or "other"; `change`: what changed lately, "" for nothing.
         */
        MedicationLine: {
            /** Change */
            change: string;
            /** Cites */
            cites: string[];
            /**
             * State
             * @enum {string}
             */
            state: "current" | "stopped" | "on hold" | "other";
            /** Text */
            text: string;
        };
        /**
         * ModelInfo
         * @description A model. Memory in bytes; speed in tokens a second.
         */
        ModelInfo: {
            /** Card */
            card: string;
            /** Caution */
            caution: string;
            /** Device */
            device: string;
            /** Loaded */
            loaded: boolean;
            /** Memory */
            memory: number | null;
            /** Name */
            name: string;
            /** Quantization */
            quantization: string;
            /** Revision */
            revision: string;
            /** Scope */
            scope: string[];
            /** Tokens Per S */
            tokens_per_s: number | null;
        };
        /**
         * NewAlarmAct
         * @description An act on an alarm. `seen`: the newest telling that was on the screen; what is newer is not acknowledged.
         */
        NewAlarmAct: {
            /**
             * Act
             * @enum {string}
             */
            act: "acknowledge" | "snooze" | "close" | "reopen";
            /** Minutes */
            minutes?: number | null;
            /** Seen */
            seen: number;
            /**
             * Why
             * @default
             */
            why: string;
        };
        /**
         * NewApiToken
         * @description A token to be made; `days` null: until it is revoked.
         */
        NewApiToken: {
            /** Days */
            days?: number | null;
            /** Name */
            name: string;
            /** Scopes */
            scopes: ("model" | "read" | "write" | "dicomweb" | "audit")[];
        };
        /**
         * NewAttempt
         * @description An attempt to tell somebody; "reached" is "told". Only "read back" ends it, or "withdrawn" with a note.
         */
        NewAttempt: {
            /**
             * How
             * @default
             */
            how: string;
            /**
             * Note
             * @default
             */
            note: string;
            /**
             * Outcome
             * @enum {string}
             */
            outcome: "reached" | "told" | "read back" | "message left" | "not reached" | "withdrawn";
            /**
             * Whom
             * @default
             */
            whom: string;
        };
        /**
         * NewCritical
         * @description A critical result, in words.
         */
        NewCritical: {
            /** Finding */
            finding: string;
        };
        /**
         * NewIntake
         * @description A patient to be asked. `note` on language or help; `hours` until the link ends, the site's setting by default.
         */
        NewIntake: {
            /**
             * Birth Date
             * @default
             */
            birth_date: string;
            /** Hours */
            hours?: number | null;
            /**
             * Identifier
             * @default
             */
            identifier: string;
            /**
             * Issuer
             * @default
             */
            issuer: string;
            /**
             * Name
             * @default
             */
            name: string;
            /**
             * Note
             * @default
             */
            note: string;
            /**
             * Sex
             * @default
             * @enum {string}
             */
            sex: "" | "F" | "M" | "O";
        };
        /**
         * NewLibrary
         * @description A library to be made.
         */
        NewLibrary: {
            /** Name */
            name: string;
        };
        /**
         * NewMacro
         * @description A macro of the site.
         */
        NewMacro: {
            /** Name */
            name: string;
            /** Text */
            text: string;
        };
        /**
         * NewMeasurement
         * @description A measurement; `points` are columns and rows in pixels of the stored image, `unit` a UCUM code.
         */
        NewMeasurement: {
            /**
             * Calibration
             * @enum {string}
             */
            calibration: "calibrated" | "at detector" | "pixels only";
            /** Frame */
            frame?: number | null;
            /** Image */
            image: string;
            /** Name */
            name: string;
            /** Points */
            points: [
                number,
                number
            ][];
            /** Unit */
            unit: string;
            /** Value */
            value: number;
        };
        /**
         * NewSections
         * @description Sections that were changed; one that is left out stays as it was in the base.
         */
        NewSections: {
            /** Comparison */
            comparison?: string | null;
            /** Examination */
            examination?: string | null;
            /** Findings */
            findings?: string | null;
            /** Impression */
            impression?: string | null;
            /** Indication */
            indication?: string | null;
            /** Technique */
            technique?: string | null;
        };
        /**
         * NewText
         * @description A text, and the number of the one that it changes (0: there was none).
         */
        NewText: {
            /** Base */
            base: number;
            sections: components["schemas"]["NewSections"];
        };
        /**
         * NewUser
         * @description A user to be made.
         */
        NewUser: {
            /**
             * Identifier
             * @default
             */
            identifier: string;
            /** Login */
            login: string;
            /**
             * Name
             * @default
             */
            name: string;
            /**
             * Organization
             * @default
             */
            organization: string;
            /** Password */
            password: string;
            /**
             * Role
             * @enum {string}
             */
            role: "admin" | "reader" | "viewer" | "admin+reader";
        };
        /**
         * NewVerdict
         * @description A verdict on a finding or a sentence of the draft of a number; of the newest where none is named.
         *
         *     "unchanged": a sentence that was signed as it was drafted, and that nobody judged.
         */
        NewVerdict: {
            /** About */
            about: string;
            /** Draft */
            draft?: number | null;
            /**
             * Kind
             * @enum {string}
             */
            kind: "finding" | "sentence";
            /**
             * Said
             * @default
             */
            said: string;
            /**
             * Verdict
             * @enum {string}
             */
            verdict: "accepted" | "edited" | "rejected" | "added" | "unchanged";
        };
        /**
         * NotJudged
         * @description A rule that could not be judged, and why.
         */
        NotJudged: {
            /**
             * Kind
             * @enum {string}
             */
            kind: "outside" | "missing" | "unread";
            /** Reason */
            reason: string;
            /** Rule */
            rule: string;
            /** Title */
            title: string;
        };
        /**
         * Order
         * @description The order that a study answers.
         */
        Order: {
            /** Placer */
            placer: string;
            /** Procedure */
            procedure: string;
            /** Reason */
            reason: string;
            /** Referrer */
            referrer: string;
            /**
             * Urgency
             * @enum {string}
             */
            urgency: "routine" | "urgent" | "stat";
        };
        /**
         * OtherObject
         * @description An object of a series that is no image.
         */
        OtherObject: {
            /**
             * Kind
             * @enum {string}
             */
            kind: "sr" | "gsps" | "document" | "other";
            /** Label */
            label: string;
            /** Sop Class */
            sop_class: string;
            /** Uid */
            uid: string;
        };
        /**
         * Outside
         * @description Another program's structured report, as lines of a name and a text.
         */
        Outside: {
            /** Complete */
            complete: boolean;
            /** Lines */
            lines: [
                string,
                string
            ][];
            /** Maker */
            maker: string;
            /** Title */
            title: string;
            /** Verified */
            verified: boolean;
        };
        /**
         * OutsideDocument
         * @description A document that another system made, as text.
         */
        OutsideDocument: {
            /** Complete */
            complete: boolean;
            /** Graphics */
            graphics: components["schemas"]["Graphic"][];
            /**
             * Kind
             * @enum {string}
             */
            kind: "sr" | "gsps" | "document" | "other";
            /** Lines */
            lines: components["schemas"]["DocumentLine"][];
            /** Maker */
            maker: string;
            /** Measurements */
            measurements: components["schemas"]["DocumentMeasurement"][];
            /** Title */
            title: string;
            /** Uid */
            uid: string;
            /** Verified */
            verified: boolean;
        };
        /**
         * PaperInfo
         * @description A paper; `reference` in Vancouver style.
         */
        PaperInfo: {
            /** Authors */
            authors: string[];
            /** Doi */
            doi: string;
            /** Id */
            id: number;
            /** Journal */
            journal: string;
            /** Licence */
            licence: string;
            /** Pmid */
            pmid: string;
            /** Reference */
            reference: string;
            /**
             * Retraction
             * @enum {string}
             */
            retraction: "retracted" | "concern" | "not listed" | "unknown";
            /** Source */
            source: string;
            /** Study Type */
            study_type: string;
            /** Title */
            title: string;
            /** Types */
            types: string[];
            /** Url */
            url: string;
            /** Year */
            year: number | null;
        };
        /**
         * PaperPage
         * @description Papers of a library.
         */
        PaperPage: {
            /** Papers */
            papers: components["schemas"]["PaperInfo"][];
            /** Total */
            total: number;
        };
        /**
         * PaperText
         * @description A paper with its passages in its order; `cut` where it has more than are told.
         */
        PaperText: {
            /** Cut */
            cut: boolean;
            paper: components["schemas"]["PaperInfo"];
            /** Passages */
            passages: components["schemas"]["PassageInfo"][];
        };
        /**
         * PapersAdded
         * @description The outcome of a file. `error`: it was not read to its end; `faults`: records of it that cannot be used.
         */
        PapersAdded: {
            /** Added */
            added: number;
            /** Error */
            error: string;
            /** Faults */
            faults: string[];
            /** Faulty */
            faulty: number;
            /** Known */
            known: number;
            /** Name */
            name: string;
            /** Unchanged */
            unchanged: boolean;
            /** Updated */
            updated: number;
        };
        /**
         * PassageInfo
         * @description A passage: `text` stands in the paper's section at [start:end]; `page` where the format has pages.
         */
        PassageInfo: {
            /** End */
            end: number;
            /** Heading */
            heading: string;
            /** Id */
            id: number;
            /** Page */
            page: number | null;
            /** Section */
            section: number;
            /** Start */
            start: number;
            /** Text */
            text: string;
        };
        /**
         * PassageReference
         * @description A passage that the answer refers to as [number].
         *
         *     Attributes:
         *         number: in this answer, from 1.
         *         passage, paper: their numbers in the library.
         *         section: the place of its section in the paper, from 0, -1 for the title; heading: that section's.
         *         page: from 1; None where the format has no pages.
         *         start, end: its characters in the section's text, whose [start:end] is `text`.
         *         source: the name of the file that it was read from.
         *         vancouver: the paper's reference.
         */
        PassageReference: {
            /** Doi */
            doi: string | null;
            /** End */
            end: number;
            /** Heading */
            heading: string;
            /** Number */
            number: number;
            /** Page */
            page: number | null;
            /** Paper */
            paper: number;
            /** Passage */
            passage: number;
            /** Pmid */
            pmid: string | null;
            /** Retraction */
            retraction: string;
            /** Section */
            section: number;
            /** Source */
            source: string;
            /** Start */
            start: number;
            /** Text */
            text: string;
            /** Title */
            title: string;
            /** Vancouver */
            vancouver: string;
            /** Year */
            year: number | null;
        };
        /**
         * PasswordChange
         * @description A user's own new password, with the one that he has.
         */
        PasswordChange: {
            /** Current */
            current: string;
            /** Password */
            password: string;
        };
        /**
         * Patient
         * @description Patient of a study as its headers name him.
         */
        Patient: {
            /** Age */
            age: string;
            /** Birth Date */
            birth_date: string;
            /** Identifier */
            identifier: string;
            /** Issuer */
            issuer: string;
            /** Name */
            name: string;
            /** Sex */
            sex: string;
        };
        /**
         * PatientEntry
         * @description A record in the list. `newest`: when it last learned something; `source`: where it comes from.
         */
        PatientEntry: {
            alarms: components["schemas"]["AlarmCounts"];
            /** Birth Date */
            birth_date: string;
            /** Entries */
            entries: number;
            /** Id */
            id: number;
            /** Identifiers */
            identifiers: components["schemas"]["Identifier"][];
            /** Name */
            name: string;
            /** Newest */
            newest: string | null;
            /** Sex */
            sex: string;
            /** Source */
            source: string;
            /** Uploaded */
            uploaded: boolean;
        };
        /**
         * PatientRecord
         * @description A record's head. While it is being read `state` is "reading", and only what the list knows is there.
         *
         *     `as_of`: when it last learned something; `age`: in years then or at death, "" where unknown; `stale`: it learned
         *     nothing for a month; `summary_by`: the model that words summaries, "" where none does, with `summary_note` why not.
         */
        PatientRecord: {
            /** Age */
            age: string;
            alarms: components["schemas"]["AlarmCounts"];
            /** Allergies */
            allergies: components["schemas"]["Cited"][];
            /** Allergies Stated */
            allergies_stated: boolean;
            /** As Of */
            as_of: string | null;
            /** Birth Date */
            birth_date: string;
            /** Died */
            died: string;
            /** Encounters */
            encounters: components["schemas"]["EncounterLine"][];
            /** Encounters Total */
            encounters_total: number;
            /** Entries */
            entries: number;
            /** Excluded */
            excluded: string[];
            /** Id */
            id: number;
            /** Identifiers */
            identifiers: components["schemas"]["Identifier"][];
            /** Medications */
            medications: components["schemas"]["MedicationLine"][];
            /** Name */
            name: string;
            /** Others */
            others: components["schemas"]["PatientEntry"][];
            /** Problem */
            problem: string;
            /** Problems */
            problems: components["schemas"]["Cited"][];
            reading: components["schemas"]["Reading"] | null;
            /** Reading Problems */
            reading_problems: string[];
            /** Sex */
            sex: string;
            /** Source */
            source: string;
            /** Stale */
            stale: boolean;
            /**
             * State
             * @enum {string}
             */
            state: "reading" | "ready" | "failed";
            /** Studies */
            studies: components["schemas"]["PatientStudy"][];
            /** Summary By */
            summary_by: string;
            /** Summary Note */
            summary_note: string;
            /** Uploaded */
            uploaded: boolean;
        };
        /**
         * PatientStudy
         * @description An imaging study in the store that is, or may be, of this patient; `why` not surely.
         */
        PatientStudy: {
            /** Certain */
            certain: boolean;
            /** Date */
            date: string;
            /** Description */
            description: string;
            /** Modalities */
            modalities: string[];
            /** State */
            state: string;
            /** Study */
            study: string;
            /** Why */
            why: string;
        };
        /**
         * PatientsPage
         * @description A page of the patients; `sources` says what is still being read.
         */
        PatientsPage: {
            /** Entries */
            entries: components["schemas"]["PatientEntry"][];
            /** Following */
            following: boolean;
            /** Now */
            now: string;
            /** Sources */
            sources: components["schemas"]["RecordSource"][];
            /** Total */
            total: number;
        };
        /**
         * Prior
         * @description Another study that is, or may be, of the same patient; `why` not surely.
         *
         *     `archive`: where it must be fetched from, "" for one that is here; `fetching`: "asked", with the `error` of an
         *     attempt that failed and is made again, or "failed" with the last `error`.
         */
        Prior: {
            /** Archive */
            archive: string;
            /** Certain */
            certain: boolean;
            /** Date */
            date: string;
            /** Description */
            description: string;
            /** Error */
            error: string;
            /** Fetching */
            fetching: string;
            /** Impression */
            impression: string;
            /** Modalities */
            modalities: string[];
            /**
             * State
             * @enum {string}
             */
            state: "arrived" | "settled" | "drafted" | "opened" | "preliminary" | "final" | "amended" | "addendum";
            /** Study */
            study: string;
            /** Why */
            why: string;
        };
        /**
         * Problem
         * @description The body of every answer with a status from 400 on.
         */
        Problem: {
            error: components["schemas"]["ProblemError"];
        };
        /**
         * ProblemError
         * @description An error: `code` for programs, `message` for people.
         */
        ProblemError: {
            /** Code */
            code: string;
            /** Message */
            message: string;
        };
        /**
         * Reading
         * @description Progress of reading a record: its size in bytes, for how long, and at what.
         */
        Reading: {
            /** Bytes */
            bytes: number;
            /** Seconds */
            seconds: number;
            /** Stage */
            stage: string;
        };
        /**
         * RecordAnswered
         * @description An answer with its citations; `found` False: the record holds nothing on it.
         */
        RecordAnswered: {
            /** Caution */
            caution: string;
            /** Facts */
            facts: components["schemas"]["StatedLine"][];
            /** Found */
            found: boolean;
            /** Model */
            model: string;
            /** Question */
            question: string;
            /** Statements */
            statements: components["schemas"]["StatedLine"][];
            /** Struck */
            struck: components["schemas"]["StruckLine"][];
            /** Warnings */
            warnings: string[];
        };
        /**
         * RecordFlag
         * @description A rule's condition that holds.
         */
        RecordFlag: {
            /** Advice */
            advice: string;
            /** Episode */
            episode: string;
            /** Evidence */
            evidence: components["schemas"]["FlagEvidence"][];
            /** Missing */
            missing: string[];
            /** Notes */
            notes: string[];
            /** Problem */
            problem: string;
            /** Rule */
            rule: string;
            /**
             * Severity
             * @enum {string}
             */
            severity: "info" | "warning" | "critical";
            /** Since */
            since: string;
            /** Source */
            source: string;
            /** Text */
            text: string;
            /** Title */
            title: string;
            /** Url */
            url: string;
            /** Version */
            version: number;
        };
        /**
         * RecordFlags
         * @description All that the rules find at a moment, and what they could not judge.
         */
        RecordFlags: {
            /** At */
            at: string;
            /** Disclaimer */
            disclaimer: string;
            /** Flags */
            flags: components["schemas"]["RecordFlag"][];
            /** Not Assessed */
            not_assessed: components["schemas"]["NotJudged"][];
            /** Problems */
            problems: string[];
        };
        /**
         * RecordSource
         * @description A source of records and how it stands: `state` "reading", "ready" or "failed" with `problem`.
         */
        RecordSource: {
            /** At */
            at: string | null;
            /** Files */
            files: number;
            /**
             * Kind
             * @enum {string}
             */
            kind: "folder" | "fhir" | "uploads";
            /** Name */
            name: string;
            /** Problem */
            problem: string;
            /** Read */
            read: number;
            /** Records */
            records: number;
            /**
             * State
             * @enum {string}
             */
            state: "waiting" | "reading" | "ready" | "failed";
        };
        /**
         * RecordSummary
         * @description A draft summary: a person must check it and sign.
         */
        RecordSummary: {
            /** As Of */
            as_of: string;
            /** Caution */
            caution: string;
            /** Excluded */
            excluded: string[];
            /**
             * Form
             * @enum {string}
             */
            form: "summary" | "ipass" | "discharge" | "referral";
            /** Model */
            model: string;
            /** Omissions */
            omissions: components["schemas"]["LeftOut"][];
            /** Problems */
            problems: string[];
            /** Sections */
            sections: components["schemas"]["SummarySection"][];
            /** Struck */
            struck: components["schemas"]["StruckLine"][];
            /** Warnings */
            warnings: string[];
        };
        /**
         * Refused
         * @description A file that was not taken, and why.
         */
        Refused: {
            /** Name */
            name: string;
            /** Reason */
            reason: string;
        };
        /**
         * Regenerate
         * @description A note that a reader adds for the model to know: data, never an instruction.
         */
        Regenerate: {
            /**
             * Hint
             * @default
             */
            hint: string;
        };
        /**
         * Regenerated
         * @description A section written anew; it is not kept.
         */
        Regenerated: {
            /** Section */
            section: string;
            /** Text */
            text: string;
            /** Warnings */
            warnings: string[];
        };
        /**
         * Region
         * @description A box: left, top, right, bottom in pixels of the stored image.
         */
        Region: {
            /** Box */
            box: [
                number,
                number,
                number,
                number
            ];
            /** Frame */
            frame: number | null;
            /** Image */
            image: string;
            /** Label */
            label: string;
            /** Note */
            note: string;
            /** Probability */
            probability: number | null;
        };
        /**
         * RemovedSentence
         * @description A sentence that the model wrote and no passage supports; its words are kept for the reader of the JSON alone.
         */
        RemovedSentence: {
            /** Reason */
            reason: string;
            /** Text */
            text: string;
        };
        /**
         * RenewIntake
         * @description A new link for an intake that runs.
         */
        RenewIntake: {
            /** Hours */
            hours?: number | null;
        };
        /**
         * ReportDelivery
         * @description A version's way to a destination. `at`: when it was acknowledged, or when it is tried next.
         */
        ReportDelivery: {
            /** At */
            at: string | null;
            /** Attempts */
            attempts: number;
            /** Destination */
            destination: string;
            /** Error */
            error: string;
            /** State */
            state: string;
        };
        /**
         * RetractionsRead
         * @description The outcome of a list of retractions: identifiers that were read, and papers of the library that are on it.
         */
        RetractionsRead: {
            /** Identifiers */
            identifiers: number;
            /** Retracted */
            retracted: number;
        };
        /**
         * RuleChange
         * @description A rule that was switched off or on, by whom, when and why.
         */
        RuleChange: {
            /** At */
            at: string;
            /** Login */
            login: string;
            /** On */
            on: boolean;
            /** Rule */
            rule: string;
            /** Why */
            why: string;
        };
        /**
         * RuleLine
         * @description A rule in use, or a version that is not. `tests`: how many lie beside it.
         */
        RuleLine: {
            /** Advice */
            advice: string;
            /** Alarms */
            alarms: number;
            /** Applies */
            applies: string;
            /** Approved At */
            approved_at: string;
            /** Approved By */
            approved_by: string;
            /** Author */
            author: string;
            /** Id */
            id: string;
            /** Kind */
            kind: string;
            /** Note */
            note: string;
            /** Origin */
            origin: string;
            /** Problem */
            problem: string;
            /** Source */
            source: string;
            /**
             * State
             * @enum {string}
             */
            state: "in use" | "switched off" | "withdrawn" | "replaced";
            /** Title */
            title: string;
            /** Url */
            url: string;
            /** Version */
            version: number;
        };
        /**
         * Rules
         * @description The rules, and who switched what.
         */
        Rules: {
            /** Changes */
            changes: components["schemas"]["RuleChange"][];
            /** Folder */
            folder: string;
            /** May Switch */
            may_switch: boolean;
            /** Rules */
            rules: components["schemas"]["RuleLine"][];
        };
        /**
         * Saved
         * @description The outcome of a text: `number` is None where another reader's came first, and this one is kept beside.
         */
        Saved: {
            /** Author */
            author: string;
            /** Newest */
            newest: number;
            /** Number */
            number: number | null;
        };
        /**
         * SavedAnswer
         * @description An answer that the caller kept.
         */
        SavedAnswer: {
            answer: components["schemas"]["LiteratureAnswer"];
            /** Library */
            library: string;
            /** Number */
            number: number;
            /** Question */
            question: string;
            /** Saved At */
            saved_at: string;
        };
        /**
         * ScoredFinding
         * @description A scored finding. `operating_point`: the probability from which on it counts as present, where it is known.
         */
        ScoredFinding: {
            /** Name */
            name: string;
            /** Note */
            note: string;
            /** Operating Point */
            operating_point: number | null;
            /** Present */
            present: boolean | null;
            /** Probability */
            probability: number | null;
        };
        /**
         * Sections
         * @description The sections of a report, in its order.
         */
        Sections: {
            /**
             * Comparison
             * @default
             */
            comparison: string;
            /**
             * Examination
             * @default
             */
            examination: string;
            /**
             * Findings
             * @default
             */
            findings: string;
            /**
             * Impression
             * @default
             */
            impression: string;
            /**
             * Indication
             * @default
             */
            indication: string;
            /**
             * Technique
             * @default
             */
            technique: string;
        };
        /**
         * Seen
         * @description Count of the study's images that were on the screen.
         */
        Seen: {
            /** Images */
            images: number;
            /** Of */
            of: number;
        };
        /**
         * SentenceConfidence
         * @description Confidence of the model in the words of a sentence; `marked` where it is low.
         */
        SentenceConfidence: {
            /** Marked */
            marked: boolean;
            /** Mean Probability */
            mean_probability: number;
            /** Section */
            section: string;
            /** Text */
            text: string;
        };
        /**
         * SeriesImages
         * @description A series, in the order of display.
         */
        SeriesImages: {
            /** Description */
            description: string;
            /** Images */
            images: components["schemas"]["ImageInfo"][];
            /** Modality */
            modality: string;
            /** Other */
            other: components["schemas"]["OtherObject"][];
            /** Uid */
            uid: string;
        };
        /**
         * SeriesInfo
         * @description A series: how many images it has, how many frames they have, and how many objects in all.
         */
        SeriesInfo: {
            /** Body Part */
            body_part: string;
            /** Description */
            description: string;
            /** Frames */
            frames: number;
            /** Images */
            images: number;
            /** Modality */
            modality: string;
            /** Number */
            number: string;
            /** Objects */
            objects: number;
            /** Uid */
            uid: string;
        };
        /**
         * Service
         * @description A part of this process, or beside it, as it stands.
         */
        Service: {
            /** Address */
            address: string;
            /** Name */
            name: string;
            /** State */
            state: string;
        };
        /**
         * Session
         * @description The user who is here, and the house. `csrf` goes back as header X-CSRF-Token.
         */
        Session: {
            /** Csrf */
            csrf: string;
            /** Expires At */
            expires_at: string | null;
            /**
             * Method
             * @default
             */
            method: string;
            model: components["schemas"]["SessionModel"] | null;
            /**
             * Model State
             * @default none
             */
            model_state: string;
            oidc: components["schemas"]["SessionOidc"] | null;
            /** Proved Until */
            proved_until?: string | null;
            /** Setup Needed */
            setup_needed: boolean;
            site: components["schemas"]["SessionSite"];
            user: components["schemas"]["User"] | null;
            /** Version */
            version: string;
        };
        /**
         * SessionModel
         * @description The model that drafts; `caution` is the banner, "" for one that may serve patients.
         */
        SessionModel: {
            /** Caution */
            caution: string;
            /** Name */
            name: string;
            /** Revision */
            revision: string;
        };
        /**
         * SessionOidc
         * @description The OpenID provider that users may sign in with.
         */
        SessionOidc: {
            /** Name */
            name: string;
        };
        /**
         * SessionSite
         * @description The part of the site's settings that the pages need.
         */
        SessionSite: {
            /** Demo Available */
            demo_available: boolean;
            /** Destinations */
            destinations: string[];
            /** Second Signature */
            second_signature: boolean;
        };
        /**
         * SetUp
         * @description The first user, an admin+reader; `code` was printed by the server.
         */
        SetUp: {
            /** Code */
            code: string;
            /**
             * Identifier
             * @default
             */
            identifier: string;
            /** Login */
            login: string;
            /** Name */
            name: string;
            /** Organization */
            organization: string;
            /** Password */
            password: string;
        };
        /**
         * SignIn
         * @description A login and its password.
         */
        SignIn: {
            /** Login */
            login: string;
            /** Password */
            password: string;
        };
        /**
         * SignRequest
         * @description A signature under a text; `correction`: of a study whose report is signed.
         */
        SignRequest: {
            /**
             * Correction
             * @default false
             */
            correction: boolean;
            /** Password */
            password: string;
            seen?: components["schemas"]["Seen"] | null;
            /** Text */
            text: number;
        };
        /**
         * Signature
         * @description A signature under a version.
         */
        Signature: {
            /** At */
            at: string;
            /** Login */
            login: string;
            /** Meaning */
            meaning: string;
            /** Name */
            name: string;
        };
        /**
         * Signed
         * @description The outcome of a signature.
         */
        Signed: {
            /** Destinations */
            destinations: string[];
            /** Digest */
            digest: string;
            /** Number */
            number: number;
            /**
             * State
             * @enum {string}
             */
            state: "arrived" | "settled" | "drafted" | "opened" | "preliminary" | "final" | "amended" | "addendum";
            /** Warnings */
            warnings: string[];
        };
        /**
         * SignedReport
         * @description A signed version. `status` is "preliminary" while the second signature is missing.
         */
        SignedReport: {
            /** Addenda */
            addenda: string[];
            /** At */
            at: string;
            /** Deliveries */
            deliveries: components["schemas"]["ReportDelivery"][];
            /** Digest */
            digest: string;
            /**
             * Kind
             * @enum {string}
             */
            kind: "report" | "correction" | "addendum";
            /** Mark */
            mark: string;
            /** Number */
            number: number;
            sections: components["schemas"]["Sections"];
            /** Signatures */
            signatures: components["schemas"]["Signature"][];
            /** Status */
            status: string;
        };
        /**
         * Site
         * @description The site's settings as they hold, and where they come from.
         */
        Site: {
            /** Database */
            database: string;
            /** File */
            file: string;
            /** Services */
            services: components["schemas"]["Service"][];
            /** Settings */
            settings: {
                [key: string]: unknown;
            };
            /** Store */
            store: string;
        };
        /**
         * SourceResource
         * @description A resource as it lies in its source: read-only JSON. `cut`: it is longer than what is sent.
         */
        SourceResource: {
            /** Cut */
            cut: boolean;
            /** Facts */
            facts: string[][];
            /** Id */
            id: string;
            /** Text */
            text: string;
            /** Where */
            where: string;
        };
        /**
         * StatedLine
         * @description A statement of a summary or an answer; `by` "model" where a model worded it and the check held.
         */
        StatedLine: {
            /**
             * By
             * @enum {string}
             */
            by: "rule" | "model";
            /** Cites */
            cites: string[];
            /** Text */
            text: string;
        };
        /**
         * StruckLine
         * @description A model's statement that was not shown among the others, and what the check found.
         */
        StruckLine: {
            /** Cites */
            cites: string[];
            /** Reason */
            reason: string;
            /** Section */
            section: string;
            /** Text */
            text: string;
        };
        /**
         * Study
         * @description All that stands of a study.
         */
        Study: {
            about: components["schemas"]["About"];
            /** Archives */
            archives: string[];
            /** Assessed */
            assessed: boolean;
            /** Beside */
            beside: components["schemas"]["Text"][];
            /** Concern */
            concern: number;
            /** Critical */
            critical: components["schemas"]["CriticalResult"][];
            /** Drafting */
            drafting: ("waiting" | "running" | "done" | "failed") | null;
            /** Drafts */
            drafts: components["schemas"]["DraftVersion"][];
            may: components["schemas"]["May"];
            /** Measurements */
            measurements: components["schemas"]["Measured"][];
            /** Notice */
            notice: string;
            /** Opened By */
            opened_by: string;
            order: components["schemas"]["Order"] | null;
            patient: components["schemas"]["Patient"];
            /** Priors */
            priors: components["schemas"]["Prior"][];
            /** Reason */
            reason: string;
            /** Reports */
            reports: components["schemas"]["SignedReport"][];
            /** Series */
            series: components["schemas"]["SeriesInfo"][];
            /**
             * State
             * @enum {string}
             */
            state: "arrived" | "settled" | "drafted" | "opened" | "preliminary" | "final" | "amended" | "addendum";
            /** Study */
            study: string;
            text: components["schemas"]["Text"] | null;
            /**
             * Urgency
             * @enum {string}
             */
            urgency: "routine" | "urgent" | "stat";
            /** Verdicts */
            verdicts: components["schemas"]["Verdict"][];
        };
        /**
         * StudyRecord
         * @description A record that is, or may be, of a study's patient.
         */
        StudyRecord: {
            alarms: components["schemas"]["AlarmCounts"];
            /** Birth Date */
            birth_date: string;
            /** Certain */
            certain: boolean;
            /** Id */
            id: number;
            /** Name */
            name: string;
            /** Source */
            source: string;
            /** Why */
            why: string;
        };
        /**
         * SummarySection
         * @description A section; `note`: why it is laid out by rule though a model was asked.
         */
        SummarySection: {
            /**
             * By
             * @enum {string}
             */
            by: "rule" | "model";
            /** Note */
            note: string;
            /** Statements */
            statements: components["schemas"]["StatedLine"][];
            /** Title */
            title: string;
        };
        /**
         * SwitchRule
         * @description A switch of a rule, with the reason.
         */
        SwitchRule: {
            /** On */
            on: boolean;
            /** Why */
            why: string;
        };
        /**
         * Template
         * @description A report template. `own`: the site's, not ours. `normal`: of the one-key path.
         */
        Template: {
            /** Id */
            id: string;
            /** Modality */
            modality: string;
            /** Name */
            name: string;
            /** Normal */
            normal: boolean;
            /** Own */
            own: boolean;
            /** Sections */
            sections: {
                [key: string]: string;
            };
        };
        /**
         * Text
         * @description A version of the text. `number` is None for one that came second and is kept beside.
         */
        Text: {
            /** At */
            at: string;
            /** Author */
            author: string;
            /** Base */
            base: number;
            /** Draft */
            draft: number;
            /** Number */
            number: number | null;
            sections: components["schemas"]["Sections"];
        };
        /**
         * TimelineBar
         * @description Count of a kind's entries in a span of the axis: the `slot`th of `slots`.
         */
        TimelineBar: {
            /** Count */
            count: number;
            /**
             * Kind
             * @enum {string}
             */
            kind: "encounter" | "condition" | "medication" | "allergy" | "procedure" | "immunization" | "report" | "note" | "measurement" | "order" | "plan" | "family history" | "other";
            /** Slot */
            slot: number;
        };
        /**
         * TimelineEntry
         * @description An entry of the timeline. `start` and `end` are instants for the axis, `time` as the record writes it.
         *
         *     `flagged`: the severity of a flag that rests on it, "" for none; `abnormal`: the laboratory says so.
         */
        TimelineEntry: {
            /** Abnormal */
            abnormal: boolean;
            /** Detail */
            detail: string;
            /** End */
            end: string | null;
            /** Id */
            id: string;
            /**
             * Kind
             * @enum {string}
             */
            kind: "encounter" | "condition" | "medication" | "allergy" | "procedure" | "immunization" | "report" | "note" | "measurement" | "order" | "plan" | "family history" | "other";
            /** Known */
            known: string;
            /** Negated */
            negated: boolean;
            /** Precision */
            precision: string;
            /** Start */
            start: string | null;
            /** Status */
            status: string;
            /** Time */
            time: string;
            /** Title */
            title: string;
        };
        /**
         * TimelinePage
         * @description Entries within a span, the newest first, with counts along the axis.
         *
         *     `first` and `last`: of the whole record. `undated`: entries whose time nobody states; they are in every span.
         */
        TimelinePage: {
            /** Bars */
            bars: components["schemas"]["TimelineBar"][];
            /** End */
            end: string | null;
            /** Entries */
            entries: components["schemas"]["TimelineEntry"][];
            /** First */
            first: string | null;
            /** Kinds */
            kinds: {
                [key: string]: number;
            };
            /** Last */
            last: string | null;
            /** Slots */
            slots: number;
            /** Start */
            start: string | null;
            /** Total */
            total: number;
            /** Undated */
            undated: number;
        };
        /**
         * TrendChoice
         * @description A quantity that there are results of, with its newest; `abnormal` or `flagged`: what to look at first.
         */
        TrendChoice: {
            /** Abnormal */
            abnormal: boolean;
            /** At */
            at: string;
            /** Count */
            count: number;
            /** Flagged */
            flagged: string;
            /** Key */
            key: string;
            /** Name */
            name: string;
            /** Newest */
            newest: string;
            /** Plotted */
            plotted: number;
        };
        /**
         * TrendPoint
         * @description A result on the axis, in the series' unit.
         *
         *     `shown`: as the record writes it; `low` and `high`: the range that it was given with; `flag`: the laboratory's.
         */
        TrendPoint: {
            /** At */
            at: string;
            /** Comparator */
            comparator: string;
            /** Flag */
            flag: string;
            /** Flagged */
            flagged: string;
            /** High */
            high: number | null;
            /** Id */
            id: string;
            /** Low */
            low: number | null;
            /** Shown */
            shown: string;
            /** Status */
            status: string;
            /** Value */
            value: number;
        };
        /**
         * TrendSeries
         * @description The results of one quantity. `unit_note`: what was converted, or cannot be; `band`: the newest result's range.
         *
         *     `more`: older results that are not sent.
         */
        TrendSeries: {
            /** Band High */
            band_high: number | null;
            /** Band Low */
            band_low: number | null;
            /** Band Text */
            band_text: string;
            /** Key */
            key: string;
            /** More */
            more: number;
            /** Name */
            name: string;
            /** Points */
            points: components["schemas"]["TrendPoint"][];
            /** Slope */
            slope: string;
            /** Unit */
            unit: string;
            /** Unit Note */
            unit_note: string;
            /** Unplotted */
            unplotted: components["schemas"]["Unplotted"][];
        };
        /**
         * Trends
         * @description The quantities of a record, the most important first, and the series that were asked for.
         */
        Trends: {
            /** Choices */
            choices: components["schemas"]["TrendChoice"][];
            /** Series */
            series: components["schemas"]["TrendSeries"][];
        };
        /**
         * Unplotted
         * @description A result that cannot stand on the axis, and why: words, no value, an unknown unit, no time.
         */
        Unplotted: {
            /** At */
            at: string;
            /** Id */
            id: string;
            /** Shown */
            shown: string;
            /** Why */
            why: string;
        };
        /**
         * Uploaded
         * @description The outcome of an upload.
         */
        Uploaded: {
            /** Added */
            added: number;
            /** Known */
            known: number;
            /** Refused */
            refused: components["schemas"]["Refused"][];
            /** Studies */
            studies: string[];
        };
        /**
         * UploadedRecord
         * @description The outcome of an upload of a record: the patients in it, and what could not be read.
         */
        UploadedRecord: {
            /** Known */
            known: boolean;
            /** Patients */
            patients: components["schemas"]["PatientEntry"][];
            /** Problems */
            problems: string[];
        };
        /**
         * User
         * @description A user. `name` is a DICOM person name (Family^Given).
         */
        User: {
            /** Active */
            active: boolean;
            /** Identifier */
            identifier: string;
            /** Login */
            login: string;
            /** Name */
            name: string;
            /** Organization */
            organization: string;
            /**
             * Role
             * @enum {string}
             */
            role: "admin" | "reader" | "viewer" | "admin+reader";
        };
        /**
         * UserChange
         * @description A change of a user; a field that is left out stays as it is.
         */
        UserChange: {
            /** Active */
            active?: boolean | null;
            /** Password */
            password?: string | null;
            /** Role */
            role?: ("admin" | "reader" | "viewer" | "admin+reader") | null;
        };
        /**
         * Verdict
         * @description The verdict that holds on a finding or a sentence.
         */
        Verdict: {
            /** About */
            about: string;
            /** Draft */
            draft: number;
            /**
             * Kind
             * @enum {string}
             */
            kind: "finding" | "sentence";
            /** Login */
            login: string;
            /** Said */
            said: string;
            /**
             * Verdict
             * @enum {string}
             */
            verdict: "accepted" | "edited" | "rejected" | "added" | "unchanged";
        };
        /**
         * Verified
         * @description The outcome of a check of the whole trail; `heads`: exported seals that it was held against.
         */
        Verified: {
            /** Events */
            events: number;
            /**
             * Heads
             * @default 0
             */
            heads: number;
            /** Ok */
            ok: boolean;
            /** Problems */
            problems: string[];
        };
        /**
         * Window
         * @description A window of display. `function` is that of VOI LUT Function (PS3.3 C.11.2.1.3).
         */
        Window: {
            /** Center */
            center: number;
            /**
             * Function
             * @default LINEAR
             * @enum {string}
             */
            function: "LINEAR" | "LINEAR_EXACT" | "SIGMOID";
            /** Name */
            name: string;
            /** Width */
            width: number;
        };
        /**
         * WorklistPage
         * @description A page of the worklist; `counts` and `modalities` are of all studies.
         */
        WorklistPage: {
            /** Counts */
            counts: {
                [key: string]: number;
            };
            /** Entries */
            entries: components["schemas"]["Entry"][];
            /** Modalities */
            modalities: string[];
            /** Now */
            now: string;
            /** Total */
            total: number;
        };
    };
    responses: never;
    parameters: never;
    requestBodies: never;
    headers: never;
    pathItems: never;
}
export type $defs = Record<string, never>;
export type operations = Record<string, never>;
