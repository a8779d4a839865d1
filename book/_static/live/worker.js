// Runs the exported networks beside the page, with ONNX Runtime's WebAssembly build.
import { env, InferenceSession, Tensor } from "./ort/ort.wasm.min.mjs";

env.wasm.wasmPaths = new URL("./ort/", import.meta.url).href;
env.wasm.numThreads = 1; // more need headers that a plain server does not send

const fetched = async (name, address) => {
  const answer = await fetch(new URL(address, import.meta.url)).catch(() => ({}));
  if (!answer.ok) throw new Error(`${address.split("/").pop()} did not come: is the connection there?`);
  const parts = [];
  for (const reader = answer.body.getReader(); ; ) {
    const { done, value } = await reader.read();
    if (done) break;
    parts.push(value);
    postMessage({ name, received: value.length });
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

const runtime = once(async (name) => {
  // The runtime would import this by itself, and after a failure never again.
  await import("./ort/ort-wasm-simd-threaded.mjs").catch(() => {
    throw new Error("ONNX Runtime did not come: is the connection there?");
  });
  env.wasm.wasmBinary = await fetched(name, "./ort/ort-wasm-simd-threaded.wasm");
});
const network = once(async (name) => {
  const [bytes] = await Promise.all([fetched(name, `../models/${name}.onnx`), runtime("runtime")]);
  return bytes;
});
const session = once(async (name) =>
  InferenceSession.create(await network(name), { executionProviders: ["wasm"] }),
);

const answer = async ({ name, feeds }) => {
  const ready = await session(name);
  if (!feeds) return {};
  const tensors = Object.entries(feeds).map(([port, { data, dims }]) => [
    port,
    new Tensor("float32", data, dims),
  ]);
  const found = await ready.run(Object.fromEntries(tensors));
  return Object.fromEntries(
    Object.entries(found).map(([port, { data, dims }]) => [port, { data, dims: [...dims] }]),
  );
};

let last = Promise.resolve(); // the runtime does one thing at a time; what is on its way waits apart
onmessage = async ({ data: { id, ...task } }) => {
  try {
    await network(task.name);
    const found = last.then(() => answer(task));
    last = found.catch(() => {});
    postMessage({ id, result: await found });
  } catch (error) {
    postMessage({ id, error: error.message });
  }
};
