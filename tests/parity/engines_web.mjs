// Runs one graph in onnxruntime-web, for engines.py: a request on standard input, its outputs on standard output, in JSON.
import { readFileSync, writeSync } from "node:fs";
import { createRequire } from "node:module";
import { basename } from "node:path";

const request = JSON.parse(readFileSync(0, "utf8"));
const ort = createRequire(request.package)("onnxruntime-web");
ort.env.wasm.numThreads = 1;

const arrays = { float32: Float32Array, uint8: Uint8Array, int32: Int32Array };
const inputs = {};
for (const [name, { type, dims, data }] of Object.entries(request.inputs)) {
  inputs[name] = new ort.Tensor(type, arrays[type].from(data), dims);
}
const externalData = request.beside.map((path) => ({ path: basename(path), data: new Uint8Array(readFileSync(path)) }));
const session = await ort.InferenceSession.create(new Uint8Array(readFileSync(request.graph)), {
  executionProviders: ["wasm"],
  externalData,
});
const outputs = {};
for (const [name, tensor] of Object.entries(await session.run(inputs))) {
  outputs[name] = { dims: tensor.dims, data: Array.from(tensor.data) };
}
writeSync(1, JSON.stringify(outputs));
process.exit(0);
