import { useEffect, useState } from "react";

const BASE64 = /^[A-Za-z0-9+/\s]+={0,2}$/;

/** The bytes of a data URL or of bare base64; null for a path on this server, and for what is neither. */
export function mapBytes(source: string): { type: string; bytes: Uint8Array<ArrayBuffer> } | null {
  const found = /^data:(image\/(?:png|jpeg|webp));base64,(.*)$/s.exec(source);
  const text = found ? found[2] : source;
  if (source.startsWith("/") && !source.startsWith("/9j/")) return null;
  if (!BASE64.test(text)) return null;
  try {
    const raw = atob(text.replace(/\s/g, ""));
    const type = found?.[1] ?? (text.startsWith("/9j/") ? "image/jpeg" : "image/png");
    return { type, bytes: Uint8Array.from(raw, (sign) => sign.charCodeAt(0)) };
  } catch {
    return null;
  }
}

/** An address that the content security policy lets an image have: a path here, or a blob made of the data. Other servers' are refused. */
export function useMapAddress(source: string | null): string | null {
  const [address, setAddress] = useState<string | null>(null);
  useEffect(() => {
    if (!source) {
      setAddress(null);
      return;
    }
    const data = mapBytes(source);
    if (!data) {
      setAddress(source.startsWith("/") && !source.startsWith("//") ? source : null);
      return;
    }
    const made = URL.createObjectURL(new Blob([data.bytes], { type: data.type }));
    setAddress(made);
    return () => URL.revokeObjectURL(made);
  }, [source]);
  return address;
}
