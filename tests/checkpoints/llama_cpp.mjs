// What llama.cpp makes of a GGUF file, by node-llama-cpp: ids of texts, special tokens, and a greedy continuation.
// Called as: node llama_cpp.mjs MODEL, with {"texts": [...], "prompt": [ids], "count": n} on stdin; prints JSON.
import fs from "node:fs";
import path from "node:path";
import {createRequire} from "node:module";
import {pathToFileURL} from "node:url";

const require = createRequire(path.join(process.env.ARIS_LLAMA_CPP, "package.json"));
const {getLlama, LlamaLogLevel, readGgufFileInfo} = await import(pathToFileURL(require.resolve("node-llama-cpp")).href);
const asked = JSON.parse(fs.readFileSync(0, "utf-8"));
const file = process.argv[2];
const llama = await getLlama({gpu: false, build: "never", progressLogs: false, logLevel: LlamaLogLevel.error});
const model = await llama.loadModel({modelPath: file, vocabOnly: asked.prompt == null, gpuLayers: 0});
const made = [];
if (asked.prompt != null) {
    const context = await model.createContext({contextSize: 256, batchSize: 64, threads: 1});
    const sequence = context.getSequence();
    for await (const token of sequence.evaluate(asked.prompt, {temperature: 0, yieldEogToken: true})) {
        made.push(token);
        if (made.length === asked.count)
            break;
    }
}
const info = await readGgufFileInfo(file);
console.log(JSON.stringify({
    ids: asked.texts.map((text) => Array.from(model.tokenize(text, true))),
    bos: model.tokens.bos,
    eos: model.tokens.eos,
    eot: model.tokens.eot,
    ends: [1, 106].map((token) => model.isEogToken(token)),
    template: info.metadata.tokenizer.chat_template,
    made
}));
process.exit(0);
