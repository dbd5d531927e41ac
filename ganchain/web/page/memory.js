// What survives a reload: values by key in IndexedDB. Without it (private windows), nothing does.

const opened = new Promise((resolve) => {
  try {
    const asking = indexedDB.open("ganchain", 1);
    asking.onupgradeneeded = () => asking.result.createObjectStore("kept");
    asking.onsuccess = () => resolve(asking.result);
    asking.onerror = () => resolve(null);
  } catch { resolve(null); }
});

const doing = async (mode, act) => {
  const base = await opened;
  if (!base) return undefined;
  return new Promise((resolve) => {
    try {
      const asking = act(base.transaction("kept", mode).objectStore("kept"));
      asking.onsuccess = () => resolve(asking.result);
      asking.onerror = () => resolve(undefined);
    } catch { resolve(undefined); }
  });
};

export const recall = (key) => doing("readonly", (kept) => kept.get(key));
export const keep = (key, value) => doing("readwrite", (kept) => kept.put(value, key));
export const drop = (key) => doing("readwrite", (kept) => kept.delete(key));
export const clear = () => doing("readwrite", (kept) => kept.clear());
