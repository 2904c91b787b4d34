import {
  Button as AriaButton,
  Toolbar as AriaToolbar,
  Group,
  Separator,
  ToggleButton,
  Tooltip,
  TooltipTrigger,
} from "react-aria-components";
import { spell } from "../../actions/chord";
import { Button } from "../../shell/Button";
import { Keys } from "../../shell/Keys";
import { Menu, type MenuEntry } from "../../shell/Menu";
import { viewerActions } from "../actions";
import { isKind } from "../marks/kinds";
import { useFacts, useObserved } from "../state/observable";
import { run } from "../state/run";
import type { Session } from "../state/session";
import type { ViewerProps } from "../types";
import { icons } from "./icons";
import styles from "./Toolbar.module.css";

interface Props {
  session: Session;
  keys: ViewerProps["keys"];
  strip: boolean;
  onStrip(): void;
}

/** In the … menu too, and only there where the toolbar is narrow (unless it is the tool in hand). */
const SELDOM = ["tool.scroll", "tool.probe", "tool.cobb", "delete", "rotate", "flip.horizontal"];
/** Likewise where it is narrower still. */
const RARE = ["tool.magnify", "tool.angle", "fit"];

/** A button's classes. */
function classOf(id: string, on = false): string {
  const fold = on ? "" : SELDOM.includes(id) ? styles.seldom : RARE.includes(id) ? styles.rare : "";
  return [styles.button, fold].filter(Boolean).join(" ");
}

const byId = new Map(viewerActions.map((action) => [action.id, action]));

/** The viewer's tools and commands: each with its name, its key and its pressed state. */
export function Toolbar({ session, keys, strip, onStrip }: Props) {
  useObserved(session);
  const { measurements, pane } = session;
  useFacts(pane, () => {
    const { center, width } = pane.window;
    return `${pane.series} ${pane.images.length} ${pane.inverted} ${pane.playing} ${pane.rate} ${center} ${width} ${pane.state === "loaded"}`;
  });
  useObserved(measurements);
  const chord = (id: string) => spell(keys?.[id] ?? byId.get(id)?.key ?? "");
  const name = (id: string) => byId.get(id)?.name ?? id;

  const toggle = (id: string, on: boolean, disabled = false) => (
    <Tipped key={id} name={name(`viewer.${id}`)} chord={chord(`viewer.${id}`)}>
      <ToggleButton
        className={classOf(id, on)}
        aria-label={name(`viewer.${id}`)}
        isSelected={on}
        isDisabled={disabled}
        onChange={() => run(session, `viewer.${id}`)}
      >
        {icons[id]}
      </ToggleButton>
    </Tipped>
  );
  const command = (id: string, disabled = false) => (
    <Tipped key={id} name={name(`viewer.${id}`)} chord={chord(`viewer.${id}`)}>
      <AriaButton
        className={classOf(id)}
        aria-label={name(`viewer.${id}`)}
        isDisabled={disabled}
        onPress={() => run(session, `viewer.${id}`)}
      >
        {icons[id]}
      </AriaButton>
    </Tipped>
  );
  const entry = (id: string, label = name(`viewer.${id}`)): MenuEntry => ({
    id,
    label,
    chord: chord(`viewer.${id}`),
    run: () => void run(session, `viewer.${id}`),
  });
  const tool = (id: string) => toggle(`tool.${id}`, session.tool === id, isKind(id) && !measurements.writable);
  const preset = pane.presets.find(({ center, width }) => center === pane.window.center && width === pane.window.width);

  return (
    <AriaToolbar className={styles.toolbar ?? ""} aria-label="Image tools">
      <Group className={styles.group ?? ""} aria-label="Series">
        <Tipped name={strip ? "Hide the series" : "Show the series"} chord="">
          <ToggleButton className={styles.button ?? ""} aria-label="Series" isSelected={strip} onChange={onStrip}>
            {icons.series}
          </ToggleButton>
        </Tipped>
      </Group>
      <Separator orientation="vertical" className={styles.line ?? ""} />
      <Group className={styles.group ?? ""} aria-label="Looking">
        {["window", "zoom", "pan", "scroll", "magnify", "probe"].map(tool)}
      </Group>
      <Separator orientation="vertical" className={styles.line ?? ""} />
      <Group className={styles.group ?? ""} aria-label="Measuring">
        {["length", "angle", "cobb", "rectangle", "ellipse"].map(tool)}
        {command("undo", !measurements.canUndo)}
        {command("delete", measurements.chosen === null || !measurements.writable)}
      </Group>
      <Separator orientation="vertical" className={styles.line ?? ""} />
      <Group className={styles.group ?? ""} aria-label="Window">
        <Menu
          label="Window presets"
          trigger={
            <Button
              size="small"
              kind="ghost"
              aria-label={`Window preset: ${preset?.name ?? "own"}`}
              isDisabled={pane.presets.length === 0}
            >
              <span className={styles.preset}>{preset?.name ?? "Own window"}</span>
              <span className={styles.caret} />
            </Button>
          }
          entries={pane.presets.map((each, i) =>
            entry(`window.${i + 1}`, `${each.name}  (W ${Math.round(each.width)} L ${Math.round(each.center)})`),
          )}
        />
        {toggle("invert", pane.inverted)}
      </Group>
      <Separator orientation="vertical" className={styles.line ?? ""} />
      <Group className={styles.group ?? ""} aria-label="Position">
        {["fit", "rotate", "flip.horizontal", "reset"].map((id) => command(id))}
      </Group>
      {pane.images.length > 1 && (
        <>
          <Separator orientation="vertical" className={styles.line ?? ""} />
          <Group className={styles.group ?? ""} aria-label="Cine">
            <Tipped name={pane.playing ? "Stop" : "Play"} chord={chord("viewer.cine")}>
              <ToggleButton
                className={styles.button ?? ""}
                aria-label="Play"
                isSelected={pane.playing}
                onChange={() => run(session, "viewer.cine")}
              >
                {pane.playing ? icons.stop : icons.play}
              </ToggleButton>
            </Tipped>
            <input
              className={styles.rate}
              type="number"
              min={1}
              max={60}
              aria-label="Images a second"
              title="Images a second"
              value={pane.rate}
              onChange={(event) => {
                const rate = Math.min(60, Math.max(1, Number(event.target.value) || 1));
                pane.rate = rate;
                pane.changed();
                session.flush();
              }}
            />
          </Group>
        </>
      )}
      <Separator orientation="vertical" className={styles.line ?? ""} />
      <Group className={styles.group ?? ""} aria-label="Panes">
        {(["1x1", "1x2", "2x2"] as const).map((layout) => toggle(`layout.${layout}`, session.layout === layout))}
        {session.count > 1 && toggle("link", session.linking)}
      </Group>
      <Separator orientation="vertical" className={styles.line ?? ""} />
      <Group className={styles.group ?? ""} aria-label="Overlays">
        {toggle("overlay", session.evidence)}
        {session.overlay.map && session.evidence && (
          <input
            className={styles.opacity}
            type="range"
            min={0}
            max={100}
            aria-label="Opacity of the evidence map"
            title="Opacity of the evidence map"
            value={Math.round(session.overlay.opacity * 100)}
            onChange={(event) => session.setOverlay({ ...session.overlay, opacity: Number(event.target.value) / 100 })}
          />
        )}
        <Menu
          label="More"
          trigger={
            <AriaButton className={styles.button ?? ""} aria-label="More image commands">
              {icons.more}
            </AriaButton>
          }
          entries={[
            ...["tool.scroll", "tool.magnify", "tool.probe"].map((id) => entry(id)),
            ...(measurements.writable ? ["tool.angle", "tool.cobb", "delete", "redo"] : []).map((id) => entry(id)),
            "-",
            ...["fit", "actual", "rotate", "flip.horizontal", "flip.vertical"].map((id) => entry(id)),
            ...(session.count > 1
              ? [
                  "-" as const,
                  entry(
                    "link.window",
                    session.ties.has("window") ? "Unlink the windows" : "Link the windows of the panes",
                  ),
                  entry("link.view", session.ties.has("view") ? "Unlink zoom and position" : "Link zoom and position"),
                ]
              : []),
            "-",
            entry("text", session.texts ? "Hide the corner texts" : "Show the corner texts"),
            entry(
              "identity",
              session.identity ? "Hide the patient's name (for screenshots)" : "Show the patient's name",
            ),
            entry("graphics", session.othersShown ? "Hide others' graphics" : "Show others' graphics"),
          ]}
        />
      </Group>
    </AriaToolbar>
  );
}

function Tipped({ name, chord, children }: { name: string; chord: string; children: React.ReactNode }) {
  return (
    <TooltipTrigger delay={400}>
      {children}
      <Tooltip className={styles.tooltip ?? ""} offset={6}>
        {name}
        {chord && <Keys chord={chord} quiet />}
      </Tooltip>
    </TooltipTrigger>
  );
}
