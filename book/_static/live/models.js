// The page's side of the worker: `load` networks, `run` one, both by their names in the manifest.
let worker;
let count = 0;
const listeners = new Set();
const waiting = new Map();

const ask = (task) => {
  if (!worker) {
    worker = new Worker(new URL("worker.js", import.meta.url), { type: "module" });
    worker.onmessage = ({ data }) => {
      if (data.received) return listeners.forEach((listener) => listener(data));
      const { resolve, reject } = waiting.get(data.id);
      waiting.delete(data.id);
      data.error ? reject(new Error(data.error)) : resolve(data.result);
    };
    worker.onerror = () => {
      waiting.forEach(({ reject }) => reject(new Error("The network's worker cannot start.")));
      waiting.clear();
      worker = undefined;
    };
  }
  return new Promise((resolve, reject) => {
    waiting.set(++count, { resolve, reject });
    worker.postMessage({ id: count, ...task });
  });
};

// Fetches networks; `onBytes` hears how many of their bytes, and of the runtime's, have come so far.
export const load = async (names, onBytes = () => {}) => {
  let sum = 0;
  const listener = ({ name, received }) =>
    ["runtime", ...names].includes(name) && onBytes((sum += received));
  listeners.add(listener);
  try {
    await Promise.all(names.map((name) => ask({ name })));
  } finally {
    listeners.delete(listener);
  }
};

// feeds and answers: port -> {data, dims}, data a Float32Array.
export const run = (name, feeds) => ask({ name, feeds });
