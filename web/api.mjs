// Makes src/api/schema.d.ts from the server's schema: `npm run api` (PYTHON names the interpreter that Aris is installed in).
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import openapiTS, { astToString } from "openapi-typescript";

const folder = mkdtempSync(join(tmpdir(), "aris-api-"));
try {
  const file = join(folder, "openapi.json");
  execFileSync(process.env.PYTHON ?? "python", ["-m", "aris.service.workspace.openapi", file], { stdio: "inherit" });
  const text = readFileSync(file, "utf8");
  const digest = createHash("sha256").update(text).digest("hex");
  const types = astToString(await openapiTS(text));
  writeFileSync(
    "src/api/schema.d.ts",
    `// Made from the server's schema by \`npm run api\`: not written by hand.\n// openapi sha256: ${digest}\n${types}`,
  );
} finally {
  rmSync(folder, { recursive: true });
}
