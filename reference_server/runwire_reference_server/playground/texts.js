// The texts of the page in its languages.

const ENGLISH = {
  title: "Runwire playground",
  subtitle: "One run, watched as it happens. Stop it, drop the connection, answer it, reload the page.",
  prompt: "Prompt",
  example: "What is AI? And what is a run?",
  start: "Start",
  again: "Try again",
  hint: "Enter starts, Shift+Enter begins a new line, Escape stops. Say “ask” for a question, “delegate” for a sub-agent.",
  connection: "Connection",
  transport: "Transport",
  auto: "WebSocket, SSE when it is blocked",
  websocketOnly: "WebSocket only",
  sseOnly: "SSE only",
  wantsToken: "This server wants a token.",
  refusedToken: "The server did not take that token. Another one?",
  signIn: "Sign in",
  run: "Run",
  stop: "Stop",
  drop: "Drop the connection",
  second: "Open in a second tab",
  steps: "What the agent does",
  answer: "Answer",
  wire: "The wire",
  thinking: "Thinking",
  tool: "Tool",
  asks: "The agent asks.",
  yes: "Yes",
  no: "No",
  reply: "Answer",
  notJson: "This is not valid JSON.",
  toolFailed: "failed: ",
  connecting: "connecting",
  following: "following",
  reconnecting: "reconnecting",
  polling: "a proxy buffers the stream: polling",
  offline: "offline",
  unauthorized: "signed out",
  refused: "stopped",
  ended: "ended",
  inSeconds: (seconds) => `, again in ${seconds} s`,
  queued: "queued",
  running: "running",
  waiting: "waiting for an answer",
  completed: "completed",
  incomplete: "incomplete",
  cancelled: "cancelled",
  failed: "failed",
  answered: "answered",
  expired: "expired",
  withdrawn: "withdrawn",
  tokens: (input, output) => `${input} tokens in, ${output} out`,
  other: "中文",
  otherCode: "zh-CN",
};

const CHINESE = {
  title: "Runwire 演练场",
  subtitle: "实时观看一次运行：可以停止它、断开连接、回答它的问题，或者刷新页面。",
  prompt: "提示词",
  example: "什么是人工智能？什么是运行？",
  start: "开始",
  again: "重试",
  hint: "按 Enter 开始，Shift+Enter 换行，Esc 停止。写上“先问”会收到提问，写上“委托”会启用子智能体。",
  connection: "连接",
  transport: "传输方式",
  auto: "WebSocket，被阻断时改用 SSE",
  websocketOnly: "仅 WebSocket",
  sseOnly: "仅 SSE",
  wantsToken: "此服务器需要令牌。",
  refusedToken: "服务器未接受该令牌，请换一个。",
  signIn: "登录",
  run: "运行",
  stop: "停止",
  drop: "断开连接",
  second: "在第二个标签页中打开",
  steps: "智能体的步骤",
  answer: "回答",
  wire: "线上消息",
  thinking: "思考",
  tool: "工具",
  asks: "智能体提问。",
  yes: "是",
  no: "否",
  reply: "回答",
  notJson: "这不是 JSON。",
  toolFailed: "失败：",
  connecting: "正在连接",
  following: "正在接收",
  reconnecting: "正在重新连接",
  polling: "代理缓冲了数据流：改为轮询",
  offline: "离线",
  unauthorized: "未登录",
  refused: "已中止",
  ended: "已结束",
  inSeconds: (seconds) => `，${seconds} 秒后重试`,
  queued: "排队中",
  running: "运行中",
  waiting: "等待回答",
  completed: "已完成",
  incomplete: "未完整",
  cancelled: "已取消",
  failed: "失败",
  answered: "已回答",
  expired: "已过期",
  withdrawn: "已撤回",
  tokens: (input, output) => `输入 ${input} 个词元，输出 ${output} 个`,
  other: "English",
  otherCode: "en",
};

const LANGUAGES = { en: ENGLISH, "zh-CN": CHINESE };
let code = kept("language") ?? (navigator.language.startsWith("zh") ? "zh-CN" : "en");

/** The text of a name in the language of the page; what has no name is shown as it is. */
export function text(name) {
  return LANGUAGES[code]?.[name] ?? ENGLISH[name] ?? name;
}

/** Write the texts of the page itself. */
export function translate() {
  document.documentElement.lang = code;
  document.title = text("title");
  for (const part of document.querySelectorAll("[data-text]")) part.textContent = text(part.dataset.text);
  for (const part of document.querySelectorAll("[data-label]")) part.setAttribute("aria-label", text(part.dataset.label));
}

/** Change to the other language. */
export function switchLanguage() {
  code = text("otherCode");
  keep("language", code);
  translate();
}

/** What this tab was told to keep over a reload, or null; a page without storage keeps nothing. */
export function kept(name) {
  try {
    return JSON.parse(sessionStorage.getItem(`runwire ${name}`));
  } catch {
    return null;
  }
}

export function keep(name, value) {
  try {
    sessionStorage.setItem(`runwire ${name}`, JSON.stringify(value));
  } catch {
    // The run goes on; it is not found again after a reload.
  }
}
