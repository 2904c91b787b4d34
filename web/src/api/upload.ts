import { ApiError, csrfToken, problem, type Query, withQuery } from "./client";
import type { Uploaded } from "./types";

/** Send one file of images; see `sendFile`. */
export function upload(
  file: File,
  about: Query,
  onProgress: (share: number) => void,
  signal: AbortSignal,
): Promise<Uploaded> {
  return sendFile<Uploaded>("/api/uploads", file, { name: file.name, ...about }, onProgress, signal);
}

/** Send one file as the body; `onProgress` hears the share that is sent (fetch cannot say it, so this is an XMLHttpRequest). */
export function sendFile<T>(
  path: string,
  file: File,
  about: Query,
  onProgress: (share: number) => void,
  signal: AbortSignal,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", withQuery(path, about));
    request.setRequestHeader("X-CSRF-Token", csrfToken());
    request.setRequestHeader("Content-Type", "application/octet-stream");
    request.upload.onprogress = ({ loaded, total }) => onProgress(total > 0 ? loaded / total : 0);
    request.upload.onload = () => onProgress(1);
    request.onerror = () => reject(new ApiError(0, "unreachable", "The server cannot be reached."));
    request.onabort = () => reject(new DOMException("stopped", "AbortError"));
    request.onload = () => {
      const response = new Response(request.responseText, { status: request.status < 200 ? 500 : request.status });
      if (response.ok) response.json().then(resolve as (value: unknown) => void, reject);
      else problem(response).then(reject);
    };
    signal.addEventListener("abort", () => request.abort(), { once: true });
    request.send(file);
  });
}
