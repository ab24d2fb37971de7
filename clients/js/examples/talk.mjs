// Talk to the hub from Node (18 or newer): shows the core of the protocol (docs/protocol.md).
//
//   npm install
//   node talk.mjs --url http://127.0.0.1:8000 --phone 13800000001 [--code 123456]
//                 [--conversation <id>] [--text 您好] [--seconds 10]
//
// Signs in (a development hub tells the code, else give --code), says hello, sends --text to the conversation (the first
// of the list without --conversation) until it is acked, prints every frame, and leaves after --seconds.

import { randomUUID } from "node:crypto";
import { parseArgs } from "node:util";
import WebSocket from "ws";

const { values: options } = parseArgs({
  options: {
    url: { type: "string", default: "http://127.0.0.1:8000" },
    phone: { type: "string", default: "13800000001" },
    code: { type: "string" },
    conversation: { type: "string" },
    text: { type: "string", default: "您好" },
    seconds: { type: "string", default: "10" },
  },
});

async function call(method, path, body, token) {
  const response = await fetch(`${options.url}/api/v1${path}`, {
    method,
    headers: { "content-type": "application/json", ...(token && { authorization: `Bearer ${token}` }) },
    body: body && JSON.stringify(body),
    signal: AbortSignal.timeout(10_000),
  });
  const answer = await response.json();
  if (!answer.success) throw new Error(`${path}: ${answer.error?.type}: ${answer.message}`);
  return answer.data;
}

async function signIn() {
  let code = options.code;
  if (!code) code = (await call("POST", "/auth/sms-code", { phone: options.phone, scene: "login" })).devCode;
  if (!code) throw new Error("a code was sent by SMS; run again with --code");
  return call("POST", "/auth/login", { phone: options.phone, code });
}

async function start() {
  const { token, user } = await signIn();
  const conversation =
    options.conversation ?? (await call("GET", "/conversations?pageSize=1", undefined, token)).items[0]?.id;
  return { token, user, conversation };
}

const { token, user, conversation } = await start().catch((error) => {
  // `cause` is what the network said; what the hub said is the message.
  console.error(error.cause ? `no hub answers at ${options.url}; start one with ./dev up` : error.message);
  process.exit(1);
});
console.log(`signed in as ${user.name || user.id}, conversation ${conversation ?? "none"}`);

// What is not acked yet, and what is held of the conversation: both outlive a connection.
const unacked = conversation
  ? [{ op: "send", conversation, clientMsgId: randomUUID(), type: "text", body: { text: options.text } }]
  : [];
const cursors = {};
let attempt = 0;
let leaving = false;
let socket;

function connect() {
  let ref = 0;
  let heartbeat;
  socket = new WebSocket(`${options.url.replace(/^http/, "ws")}/ws/v1`, ["hub.v1.json"], {
    headers: { authorization: `Bearer ${token}` },
    handshakeTimeout: 10_000,
  });
  const say = (frame) => {
    const text = JSON.stringify({ ...frame, ref: ++ref });
    console.log("→", text);
    socket.send(text);
  };

  socket.on("open", () => say({ op: "hello", cursors, device: "talk.mjs" }));
  socket.on("message", (data) => {
    const text = data.toString();
    console.log("←", text);
    const frame = JSON.parse(text);
    switch (frame.op) {
      case "welcome":
        attempt = 0;
        // Start at the head of what is new to us; a client that shows history would ask for it with `fetch`.
        for (const [id, head] of Object.entries(frame.heads)) cursors[id] ??= head.seq;
        clearInterval(heartbeat);
        heartbeat = setInterval(() => say({ op: "ping" }), frame.heartbeatMs);
        for (const waiting of unacked) say(waiting); // again with the same clientMsgId: committed once (dup: true)
        break;
      case "ack":
        unacked.splice(0, unacked.length, ...unacked.filter((waiting) => waiting.clientMsgId !== frame.clientMsgId));
        break;
      case "entry":
        hold(frame.conversation, [frame]);
        break;
      case "page":
        if (frame.snapshot) cursors[frame.conversation] = frame.entries[0].seq - 1;
        hold(frame.conversation, frame.entries);
        break;
      case "drain":
        setTimeout(() => socket.close(1000), frame.reconnectAfterMs);
        break;
    }

    function hold(id, entries) {
      const before = cursors[id] ?? 0;
      for (const { seq } of entries) if (seq === (cursors[id] ?? 0) + 1) cursors[id] = seq;
      const last = entries.at(-1)?.seq ?? 0;
      if (last > (cursors[id] ?? 0)) say({ op: "fetch", conversation: id, after: cursors[id] ?? 0 }); // a hole
      if ((cursors[id] ?? 0) > before) say({ op: "delivered", conversation: id, seq: cursors[id] });
    }
  });
  socket.on("error", (error) => console.log(`! ${error.message}`));
  socket.on("close", (code, reason) => {
    clearInterval(heartbeat);
    console.log(`closed ${code} ${reason}`);
    if (leaving || code >= 4500) return;
    if (code === 4401) return console.log("the token is no longer valid; sign in again");
    const longest = Math.min(30_000, 500 * 2 ** ++attempt);
    setTimeout(connect, Math.random() * longest); // full jitter
  });
}

connect();
setTimeout(() => {
  leaving = true;
  socket.close(1000);
  setTimeout(() => process.exit(unacked.length ? 1 : 0), 500);
}, Number(options.seconds) * 1000);
