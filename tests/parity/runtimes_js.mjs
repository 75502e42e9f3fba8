// Opens a folder in transformers.js, for runtimes.py: a request on standard input, what came out on standard output, in JSON.
import { readFileSync, writeSync } from "node:fs";
import { createRequire } from "node:module";
import { basename, dirname } from "node:path";
import { pathToFileURL } from "node:url";

const request = JSON.parse(readFileSync(0, "utf8"));
const entry = createRequire(request.package).resolve("@huggingface/transformers");
const js = await import(pathToFileURL(entry).href);
js.env.localModelPath = dirname(request.folder) + "/";
js.env.allowRemoteModels = false;
js.env.useFSCache = false;

// Neither number format nor files are named: the folder says what there is.
const name = basename(request.folder);
const [Text, Vision, Both] = request.siglip
  ? [js.SiglipTextModel, js.SiglipVisionModel, js.SiglipModel]
  : [js.CLIPTextModelWithProjection, js.CLIPVisionModelWithProjection, js.CLIPModel];
const tokenizer = await js.AutoTokenizer.from_pretrained(name);
const processor = await js.AutoProcessor.from_pretrained(name);
const rows = ({ dims, data }) => Array.from({ length: dims[0] }, (_, i) => Array.from(data.slice(i * dims[1], (i + 1) * dims[1]), Number));
const row = (outputs, ...names) => rows(outputs[names.find((name) => name in outputs)]);

const texts = tokenizer(request.texts, { padding: request.siglip ? "max_length" : true, truncation: true });
const images = await processor(await Promise.all(request.pictures.map((path) => js.RawImage.read(path))));
const given = new js.Tensor("float32", Float32Array.from(request.pixels.data), request.pixels.dims);
const text = await Text.from_pretrained(name);
const vision = await Vision.from_pretrained(name);
const both = await Both.from_pretrained(name);
const joined = await both({ ...texts, ...images });
const classify = await js.pipeline("zero-shot-image-classification", name);
const result = {
  version: js.env.version,
  ids: rows(texts.input_ids),
  texts: row(await text(texts), "text_embeds", "pooler_output"),
  images: row(await vision(images), "image_embeds", "pooler_output"),
  tensors: row(await vision({ pixel_values: given }), "image_embeds", "pooler_output"),
  joined_texts: rows(joined.text_embeds),
  joined_images: rows(joined.image_embeds),
  logits: rows(joined.logits_per_image),
  classes: await classify(request.pictures, request.labels, { hypothesis_template: "{}" }),
};
writeSync(1, JSON.stringify(result));
process.exit(0);
