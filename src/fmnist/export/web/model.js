// The model on this device: a picture in, probabilities out. Knows no page.

import { decode } from "./decoding.js";
import { unfamiliarity } from "./familiarity.js";
import { doubted, prepare } from "./recipe.js";
import { InferenceSession, Tensor, env } from "./runtime.js";

async function load(name) {
  const answer = await fetch(new URL(name, import.meta.url));
  if (!answer.ok) throw new Error(`${name} cannot be loaded (${answer.status})`);
  return answer;
}

export async function openModel() {
  const [facts, content] = await Promise.all([
    load("model.json").then((answer) => answer.json()),
    load("model.onnx").then((answer) => answer.arrayBuffer()),
  ]);
  env.wasm.numThreads = 1; // more would need headers that few static hosts send
  env.wasm.wasmPaths = { "ort-wasm-simd.wasm": new URL("runtime.wasm", import.meta.url).href };
  const session = await InferenceSession.create(content, { executionProviders: ["wasm"] });
  const [height, width, channels = 1] = facts.image_shape;

  // source: a file or a canvas. Returns what the model sees, byte by byte, what it says of that, and what to doubt.
  async function look(source) {
    const image = await decode(source, facts.working_side);
    const { levels, found } = prepare(image, facts.image_shape, facts.recipe, facts.preparation);
    const input = new Tensor("uint8", levels, [1, height, width, channels]);
    const answer = await session.run({ [facts.input.name]: input });
    const strange = facts.familiarity ? unfamiliarity(levels, facts.image_shape, facts.familiarity) : null;
    const probabilities = [...answer[facts.output.name].data];
    return { levels, probabilities, unfamiliarity: strange, doubts: doubted(found, facts) };
  }
  return { facts, look };
}
