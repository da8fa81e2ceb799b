const { RUNWIRE_WEBSOCKET, RUNWIRE_PROMPT } = process.env;
const socket = new WebSocket(RUNWIRE_WEBSOCKET);
const shown = { text: "" };
socket.onopen = () => socket.send(JSON.stringify({ prompt: RUNWIRE_PROMPT }));
socket.onmessage = ({ data }) => {
  const message = JSON.parse(data);
  if (message.type === "token") shown.text += message.data;
  if (message.type === "done") shown.ended = message.status ?? "completed";
  if (message.type === "error") shown.ended = "failed";
  console.log(JSON.stringify({ runwire: shown }));
};
