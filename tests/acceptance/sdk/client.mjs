// The official Node SDK as it is, told what to do line by line, telling what it did.
//
// Commands are JSON lines on stdin: {"do": "start", ...} closes the former WSClient and
// starts another one. What it did are JSON lines on stdout. SDK_DIRECTORY is where
// package.json was installed.
import { createHash } from "node:crypto";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const require = createRequire(`${process.env.SDK_DIRECTORY}/package.json`);
const lark = require("@larksuiteoapi/node-sdk");

const MESSAGE = "im.message.receive_v1";
const TOAST = { toast: { type: "success", content: "同意" } };
const PREVIEW = { inline: { title: "Ticket" } };

const say = (said, fields = {}) => console.log(JSON.stringify({ said, ...fields }));
const quiet = { error() {}, warn() {}, info() {}, debug() {}, trace() {} };
const refused = new Set();

// Tell of an event; of one whose text says so, fail the first time or always.
function handle(data) {
  const id = data.event_id ?? data.uuid;
  const type = data.event_type ?? data.type;
  const content = type === MESSAGE ? data.message.content : "";
  const digest = content ? createHash("sha256").update(content).digest("hex") : "";
  say("handled", { id, type, digest });
  if (content.includes("fail always") || (content.includes("fail once") && !refused.has(id))) {
    refused.add(id);
    throw new Error("told to fail");
  }
  if (type === "card.action.trigger") return TOAST;
  if (type === "url.preview.get") return PREVIEW;
  return undefined;
}

let client = null;

function start(command) {
  client?.close({ force: true });
  const handles = [...command.types, ...command.old_types].map((type) => [type, handle]);
  client = new lark.WSClient({
    appId: command.app_id,
    appSecret: command.app_secret,
    domain: command.domain,
    logger: quiet,
    onReady: () => say("ready"),
    onError: (error) => say("gave_up", { error: error.message }),
    onReconnecting: () => say("reconnecting"),
    onReconnected: () => say("reconnected"),
  });
  const eventDispatcher = new lark.EventDispatcher({ logger: quiet }).register(
    Object.fromEntries(handles),
  );
  client.start({ eventDispatcher });
}

say("imported", { version: require("@larksuiteoapi/node-sdk/package.json").version });
createInterface({ input: process.stdin })
  .on("line", (line) => start(JSON.parse(line)))
  .on("close", () => process.exit(0));
