// The server: requests, uploads with progress, drafts, and jobs with their events.

const failure = (said, status) => Object.assign(new Error(said.error ?? `HTTP ${status}`), { status, problems: said.problems ?? [] });
const lost = () => Object.assign(new Error("unreachable"), { unreachable: true });

const answered = async (answer) => {
  if (answer.ok) return answer;
  let said = {};
  try { said = await answer.json(); } catch { /* no JSON: the status is all there is */ }
  throw failure(said, answer.status);
};

const send = async (address, options) => {
  let answer;
  try { answer = await fetch(address, options); } catch { throw lost(); }
  return answered(answer);
};

// Ask for JSON; an error has the server's reason, its status, and the wrong values of the chain.
export const ask = async (address, body, method = body ? "POST" : "GET") => {
  const headers = body ? { "Content-Type": "application/json" } : {};
  const answer = await send(address, { method, headers, body: body && JSON.stringify(body) });
  return answer.status === 204 ? null : answer.json();
};

export const forget = (address) => ask(address, undefined, "DELETE").catch(() => {}); // the server deletes it later by itself

// Draw a draft: {blob, status, seconds}
export const draft = async (order) => {
  const answer = await send("/drafts", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(order) });
  return { blob: await answer.blob(), ...JSON.parse(answer.headers.get("Ganchain-Report")) };
};

// Send a photo or a video; tell(share) is called while it goes.
export const upload = (file, name, tell = () => {}, kind = "photo") => new Promise((resolve, reject) => {
  const form = new FormData();
  form.append(kind, file, name);
  const request = new XMLHttpRequest();
  request.open("POST", `/${kind}s`);
  request.upload.onprogress = (event) => event.lengthComputable && tell(event.loaded / event.total);
  request.onerror = () => reject(lost());
  request.onload = () => {
    let said = {};
    try { said = JSON.parse(request.responseText); } catch { /* as above */ }
    if (request.status === 201) resolve(said);
    else reject(failure(said, request.status));
  };
  request.send(form);
});

// Run a job to its end; tell(job) is called at each event. Returns the job that is done.
export const run = async (order, tell) => {
  const job = await ask("/jobs", order);
  tell(job);
  const ended = await new Promise((resolve, reject) => {
    const source = new EventSource(`/jobs/${job.id}/events`);
    const end = (finish, value) => { source.close(); finish(value); };
    source.onmessage = (event) => {
      const now = JSON.parse(event.data);
      tell(now);
      if (now.state !== "waiting" && now.state !== "running") end(resolve, now);
    };
    source.onerror = async () => { // a browser tries again by itself, unless the server said no
      if (source.readyState !== EventSource.CLOSED) return;
      ask(`/jobs/${job.id}`).then((now) => end(resolve, now), (error) => end(reject, error));
    };
  });
  if (ended.state === "failed") throw failure(ended, 422);
  return ended;
};
