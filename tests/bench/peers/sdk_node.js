// The official Node SDK as a peer: `node sdk_node.js DOMAIN SOCKET`.
// What its handler gets goes to SOCKET as a line with the monotonic time it was called.
"use strict";

const net = require("node:net");
const Lark = require("@larksuiteoapi/node-sdk");

const [domain, path] = process.argv.slice(2);
const out = net.connect(path);

const eventDispatcher = new Lark.EventDispatcher({
  loggerLevel: Lark.LoggerLevel.error,
}).register({
  "im.message.receive_v1": async (event) => {
    const at = process.hrtime.bigint();
    out.write(`{"at":${at},"event":${JSON.stringify(event)}}\n`);
  },
});

out.once("connect", () => {
  new Lark.WSClient({
    appId: process.env.FEISHU_WS_APP__ID,
    appSecret: process.env.FEISHU_WS_APP__SECRET,
    domain,
    loggerLevel: Lark.LoggerLevel.error,
  }).start({ eventDispatcher });
});
