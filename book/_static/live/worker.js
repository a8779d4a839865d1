// Runs the exported networks beside the page, with ONNX Runtime's WebAssembly build.
import { env, InferenceSession, Tensor } from "./ort/ort.wasm.min.mjs";

env.wasm.wasmPaths = new URL("./ort/", import.meta.url).href;
env.wasm.numThreads = 1; // more need headers that a plain server does not send

const fetched = async (address) => {
  const answer = await fetch(new URL(address, import.meta.url));
  if (!answer.ok) throw new Error(`${address} cannot be fetched (${answer.status}).`);
  const parts = [];
  for (const reader = answer.body.getReader(); ; ) {
    const { done, value } = await reader.read();
    if (done) break;
    parts.push(value);
    postMessage({ received: value.length });
  }
  return new Uint8Array(await new Blob(parts).arrayBuffer());
};

// A promise a name; one that failed is forgotten, so that a reader can try again.
const once = (make) => {
  const kept = new Map();
  return (name) => {
    if (!kept.has(name)) {
      kept.set(name, make(name));
      kept.get(name).catch(() => kept.delete(name));
    }
    return kept.get(name);
  };
};

const runtime = once(async () => {
  env.wasm.wasmBinary = await fetched("./ort/ort-wasm-simd-threaded.wasm");
});
const session = once(async (name) => {
  const [network] = await Promise.all([fetched(`../models/${name}.onnx`), runtime("runtime")]);
  return InferenceSession.create(network, { executionProviders: ["wasm"] });
});

const answer = async ({ name, feeds }) => {
  const network = await session(name);
  if (!feeds) return {};
  const tensors = Object.entries(feeds).map(([port, { data, dims }]) => [
    port,
    new Tensor("float32", data, dims),
  ]);
  const found = await network.run(Object.fromEntries(tensors));
  return Object.fromEntries(
    Object.entries(found).map(([port, { data, dims }]) => [port, { data, dims: [...dims] }]),
  );
};

let last = Promise.resolve(); // the runtime does one thing at a time
onmessage = ({ data: { id, ...task } }) => {
  last = last.then(() => answer(task)).then(
    (result) => postMessage({ id, result }),
    (error) => postMessage({ id, error: error.message }),
  );
};
