/** Holds the pages' types against the server's: this file compiles to nothing, and does not compile where the two differ. */
import type { components } from "./schema";
import type * as pages from "./types";

type Server = components["schemas"];
/** Words and numbers without saying which: the server's schema leaves some open that the pages name one by one. */
type Wide<T> = T extends string
  ? string
  : T extends number
    ? number
    : T extends (infer One)[]
      ? Wide<One>[]
      : T extends object
        ? { [Key in keyof T]: Wide<T[Key]> }
        : T;
/** What the server answers must be what the pages read. */
type Answer<Said extends Wide<Read>, Read> = [Said, Read];
/** What the pages send must be what the server takes. */
type Body<Sent extends Taken, Taken> = [Sent, Taken];

export type Answers = [
  Answer<Server["Problem"], pages.Problem>,
  Answer<Server["User"], pages.User>,
  Answer<Server["Session"], Omit<pages.Session, "proved_until">>,
  Answer<Server["ApiToken"], Omit<pages.ApiToken, "token">>,
  Answer<Server["WorklistPage"], Omit<pages.WorklistPage, "counts">>,
  Answer<Server["Entry"], pages.Entry>,
  Answer<Server["Uploaded"], pages.Uploaded>,
  Answer<Server["Study"], pages.Study>,
  Answer<Server["Text"], pages.Text>,
  Answer<Server["DraftVersion"], pages.DraftVersion>,
  Answer<Server["ScoredFinding"], pages.ScoredFinding>,
  Answer<Server["SignedReport"], pages.SignedReport>,
  Answer<Server["CriticalResult"], pages.CriticalResult>,
  Answer<Server["Measured"], pages.Measured>,
  Answer<Server["Verdict"], pages.Verdict>,
  Answer<Server["SeriesInfo"], pages.SeriesInfo>,
  Answer<Server["Prior"], pages.Prior>,
  Answer<Server["Saved"], pages.Saved>,
  Answer<Server["Signed"], pages.Signed>,
  Answer<Server["SeriesImages"], pages.SeriesImages>,
  Answer<Server["ImageInfo"], pages.ImageInfo>,
  Answer<Server["Graphic"], pages.Graphic>,
  Answer<Server["EvidenceOnImage"], pages.EvidenceOnImage>,
  Answer<Server["Regenerated"], pages.Regenerated>,
  Answer<Server["Answered"], pages.Answered>,
  Answer<Server["Template"], pages.Template>,
  Answer<Server["Macro"], pages.Macro>,
  Answer<Server["ModelInfo"], pages.ModelInfo>,
  Answer<Server["AuditPage"], pages.AuditPage>,
  Answer<Server["Verified"], pages.Verified>,
  Answer<Server["Agreement"], pages.Agreement>,
  Answer<Server["Site"], pages.Site>,
  Answer<Server["PatientsPage"], pages.PatientsPage>,
  Answer<Server["UploadedRecord"], pages.UploadedRecord>,
  Answer<Server["PatientRecord"], pages.PatientRecord>,
  Answer<Server["TimelinePage"], pages.TimelinePage>,
  Answer<Server["Trends"], pages.Trends>,
  Answer<Server["RecordFlags"], pages.RecordFlags>,
  Answer<Server["RecordSummary"], pages.RecordSummary>,
  Answer<Server["RecordAnswered"], pages.RecordAnswered>,
  Answer<Server["SourceResource"], pages.SourceResource>,
  Answer<Server["StudyRecord"], pages.StudyRecord>,
  Answer<Server["AlarmsPage"], Omit<pages.AlarmsPage, "states">>,
  Answer<Server["AlarmTotals"], pages.AlarmTotals>,
  Answer<Server["Explained"], pages.Explained>,
  Answer<Server["Rules"], pages.Rules>,
  Answer<Server["IntakeList"], Omit<pages.IntakeList, "counts">>,
  Answer<Server["IntakeLine"], pages.IntakeLine>,
  Answer<Server["IntakeLink"], pages.IntakeLink>,
  Answer<Server["Intake"], pages.Intake>,
  Answer<Server["IntakeBadge"], pages.IntakeBadge>,
  Answer<Server["Libraries"], pages.Libraries>,
  Answer<Server["LibraryInfo"], pages.LibraryInfo>,
  Answer<Server["PaperPage"], pages.PaperPage>,
  Answer<Server["PaperText"], pages.PaperText>,
  Answer<Server["Found"], pages.Found>,
  Answer<Server["PapersAdded"], pages.PapersAdded>,
  Answer<Server["RetractionsRead"], pages.RetractionsRead>,
  Answer<Server["LiteratureAnswer"], pages.LiteratureAnswer>,
];
export type Bodies = [
  Body<pages.SetUp, Server["SetUp"]>,
  Body<pages.SignIn, Server["SignIn"]>,
  Body<pages.NewUser, Server["NewUser"]>,
  Body<pages.UserChange, Server["UserChange"]>,
  Body<pages.PasswordChange, Server["PasswordChange"]>,
  Body<pages.SignRequest, Server["SignRequest"]>,
  Body<pages.NewVerdict, Server["NewVerdict"]>,
  Body<pages.NewMeasurement, Server["NewMeasurement"]>,
  Body<pages.NewAttempt, Server["NewAttempt"]>,
  Body<pages.NewAlarmAct, Server["NewAlarmAct"]>,
  Body<pages.SwitchRule, Server["SwitchRule"]>,
  Body<pages.NewIntake, Server["NewIntake"]>,
  Body<pages.AcknowledgeIntake, Server["Acknowledge"]>,
  Body<pages.AskLiterature, Server["AskLiterature"]>,
];
