import type { ImageInfo } from "../../api/types";
import type { Wanted } from "../pixels/frames";
import { seriesImages, studyOf } from "../pixels/images";

/** How many images of the next study's first series come ahead. */
const AHEAD = 40;

/** The study that comes next: its first images are loaded behind all that the screen wants. */
class Waiting {
  study = "";
  private stacks: ImageInfo[][] = [];
  /** Told when there is something new to be wanted. */
  onReady: () => void = () => {};

  async prepare(study: string): Promise<void> {
    if (study === this.study) return;
    this.study = study;
    this.stacks = [];
    try {
      const { series } = await studyOf(study);
      const first = series.filter(({ frames }) => frames > 0).slice(0, 2);
      const found = await Promise.all(first.map(({ uid }) => seriesImages(study, uid)));
      if (study !== this.study) return;
      this.stacks = found.map(({ images }) => images.slice(0, AHEAD));
      this.onReady();
    } catch {
      // What cannot be read ahead is asked for, and its trouble said, when the study is opened.
      if (study === this.study) this.study = "";
    }
  }

  wanted(): Wanted[] {
    return this.stacks.map((images) => ({ images, index: 0 }));
  }

  clear(): void {
    this.study = "";
    this.stacks = [];
  }
}

export const waiting = new Waiting();
