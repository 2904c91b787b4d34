import { useEffect, useRef } from "react";
import type { Pane } from "../state/pane";
import { paint } from "../surface/paint";
import styles from "./Loupe.module.css";
import type { Hover } from "./pointer";

const SIZE = 220;

/** A round magnifying glass: drawn from the pixels themselves, not from what is on the screen. */
export function Loupe({ pane, hover }: { pane: Pane; hover: Hover }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  useEffect(() => {
    const { scene } = pane;
    const context = canvas.current?.getContext("2d");
    if (!scene || !context) return;
    const { image, pixels } = scene;
    const [a, b, c, d] = pane.affine;
    const power = Math.max(2.5, 2 / Math.max(pane.scale, 1e-6));
    const reach = Math.ceil(SIZE / (pane.scale * power) / 1.3) + 2;
    const left = Math.max(0, Math.floor(hover.image[0] - reach));
    const top = Math.max(0, Math.floor(hover.image[1] - reach));
    const width = Math.min(image.columns, Math.ceil(hover.image[0] + reach)) - left;
    const height = Math.min(image.rows, Math.ceil(hover.image[1] + reach)) - top;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.fillStyle = "#000";
    context.fillRect(0, 0, SIZE, SIZE);
    if (width <= 0 || height <= 0) return;
    const cut = new (pixels.constructor as new (length: number) => typeof pixels)(width * height * image.samples);
    for (let row = 0; row < height; row++) {
      const from = ((top + row) * image.columns + left) * image.samples;
      cut.set(pixels.subarray(from, from + width * image.samples), row * width * image.samples);
    }
    const part = document.createElement("canvas");
    part.width = width;
    part.height = height;
    const inner = part.getContext("2d");
    if (!inner) return;
    const data = inner.createImageData(width, height);
    paint(
      new Uint32Array(data.data.buffer),
      { ...image, rows: height, columns: width },
      cut,
      scene.window,
      scene.invert,
    );
    inner.putImageData(data, 0, 0);
    const [x, y] = [hover.image[0] - left, hover.image[1] - top];
    const [A, B, C, D] = [a * power, b * power, c * power, d * power];
    context.setTransform(A, B, C, D, SIZE / 2 - A * x - C * y, SIZE / 2 - B * x - D * y);
    context.imageSmoothingEnabled = pane.scale * power < 6;
    context.drawImage(part, 0, 0);
  });
  return (
    <canvas
      ref={canvas}
      width={SIZE}
      height={SIZE}
      className={styles.loupe}
      style={{ left: hover.screen[0] - SIZE / 2, top: hover.screen[1] - SIZE / 2 }}
    />
  );
}
