// The page around the client in confab.js. Text of users reaches the document as
// textContent only.
import {Confab, newId} from './confab.js';

const $ = id => document.getElementById(id);
const rooms = new Map(); // roomId -> {messages: Map(seq -> message), pending: Map(id -> message), notes, users, total, typing, unread, more}
const presence = new Map(); // userId -> status
let me, chat, current;

// ---- signing in -------------------------------------------------------------

async function devToken() {
  const response = await fetch('/dev/token', {
    method: 'POST', headers: {'Content-Type': 'application/json'}, body: JSON.stringify({name: me.username}),
  });
  const body = await response.json();
  if (!response.ok) throw new Error(body.message);
  me.userId = body.userId;
  return body.token;
}

$('login').addEventListener('submit', async event => {
  event.preventDefault();
  me = {username: $('name').value.trim()};
  try { await devToken(); } catch (e) {
    $('login-error').textContent = e.message || 'The server does not answer.';
    return;
  }
  sessionStorage.setItem('name', me.username);
  start($('first-room').value);
});

function start(firstRoom) {
  $('login').hidden = true;
  $('chat').hidden = false;
  $('me').textContent = me.username;
  chat = new Confab(devToken);
  listen();
  chat.on('link', state => {
    $('link').textContent = state;
    $('link').dataset.state = state;
    if (state === 'online' && !rooms.size) enter(firstRoom);
    if (state === 'online') notice('');
  });
  chat.connect();
}

// ---- rooms --------------------------------------------------------------------

async function enter(roomId) {
  roomId = roomId.trim();
  if (!/^[A-Za-z0-9_.:\/-]{1,64}$/.test(roomId)) {
    return notice('A room has a name of 1 to 64 letters (A to Z), digits, and _ - . : /, without blanks.');
  }
  if (!rooms.has(roomId)) {
    const room = {messages: new Map(), pending: new Map(), notes: [], users: [], total: 0, typing: new Map(), unread: 0, more: false};
    rooms.set(roomId, room);
    try {
      await chat.join(roomId);
      await older(roomId);
    } catch (e) {
      rooms.delete(roomId);
      return problem(e);
    }
  }
  show(roomId);
}

async function older(roomId) {
  const room = rooms.get(roomId);
  const first = Math.min(...room.messages.keys());
  const page = await chat.request('getHistory', {roomId, limit: 50, ...(Number.isFinite(first) && {before: first})});
  for (const m of page.messages) room.messages.set(m.seq, m);
  room.more = page.hasMore;
}

function show(roomId) {
  current = roomId;
  location.hash = encodeURIComponent(roomId);
  rooms.get(roomId).unread = 0;
  draw();
  $('messages').scrollTop = $('messages').scrollHeight;
  $('text').focus();
}

$('join').addEventListener('submit', event => {
  event.preventDefault();
  if ($('room').value.trim()) enter($('room').value);
  $('room').value = '';
});

$('leave').addEventListener('click', async () => {
  const gone = current;
  await chat.leave(gone).catch(problem);
  rooms.delete(gone);
  rooms.size ? show(rooms.keys().next().value) : enter('general');
});

$('messages').addEventListener('scroll', async () => {
  const box = $('messages'), room = rooms.get(current);
  if (box.scrollTop > 0 || !room?.more) return;
  room.more = false; // one page at a time
  const height = box.scrollHeight;
  await older(current).catch(problem);
  drawMessages();
  box.scrollTop = box.scrollHeight - height;
});

// ---- sending ------------------------------------------------------------------

async function send(roomId, content, id = newId()) {
  const room = rooms.get(roomId);
  room.pending.set(id, {id, content, author: me, timestamp: new Date().toISOString(), state: 'sending'});
  drawMessages(true);
  try {
    const {message} = await chat.send(roomId, content, id);
    room.messages.set(message.seq, message);
    room.pending.delete(id);
  } catch (e) {
    Object.assign(room.pending.get(id), {state: 'failed', why: words(e), retry: () => send(roomId, content, id)});
  }
  drawMessages(true);
}

let typingUntil = 0;
$('text').addEventListener('input', () => {
  const box = $('text');
  box.style.height = 'auto';
  box.style.height = `${Math.min(box.scrollHeight, 160)}px`;
  if (Date.now() < typingUntil || !box.value) return;
  typingUntil = Date.now() + 3000;
  chat.request('typing', {roomId: current, isTyping: true}).catch(() => {});
});

$('text').addEventListener('keydown', event => {
  if (event.key === 'Enter' && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    $('composer').requestSubmit();
  }
});

$('composer').addEventListener('submit', event => {
  event.preventDefault();
  const content = $('text').value.trim();
  if (!content) return;
  if ([...content].length > 2000) return notice(`That is ${[...content].length} characters; a message may have 2000.`);
  $('text').value = '';
  $('text').style.height = 'auto';
  typingUntil = 0;
  send(current, content);
});

$('status').addEventListener('change', () =>
  chat.request('updatePresence', {status: $('status').value}).catch(problem));

// ---- what the server says -------------------------------------------------------

function listen() {
  const inRoom = handler => data => {
    const room = rooms.get(data.roomId);
    if (room) handler(room, data);
  };
  chat.on('receiveMessage', inRoom((room, m) => {
    room.messages.set(m.seq, m);
    room.typing.delete(m.author.id);
    if (m.roomId !== current || document.hidden) room.unread++;
    m.roomId === current ? (drawMessages(true), drawTyping()) : drawRooms();
  }));
  chat.on('roomUsers', inRoom((room, data) => {
    room.users = data.users;
    room.total = data.total;
    drawMembers();
    refreshPresence(data.users);
  }));
  chat.on('userJoined', inRoom((room, user) => {
    if (!room.users.some(u => u.userId === user.userId)) room.users.push(user), room.total++;
    presence.set(user.userId, 'online');
    drawMembers();
  }));
  chat.on('userLeft', inRoom((room, user) => {
    room.users = room.users.filter(u => u.userId !== user.userId);
    room.total--;
    room.typing.delete(user.userId);
    drawMembers();
    drawTyping();
  }));
  chat.on('userTyping', inRoom((room, user) => {
    user.isTyping ? room.typing.set(user.userId, user.username) : room.typing.delete(user.userId);
    drawTyping();
  }));
  chat.on('gap', inRoom((room, gap) => {
    room.notes.push({seq: gap.to + 0.5, text: gap.from === gap.to
      ? 'One older message is no longer kept.' : `${gap.to - gap.from + 1} older messages are no longer kept.`});
    drawMessages();
  }));
  const shown = (user, status) => { presence.set(user.userId, status); drawMembers(); };
  chat.on('userOnline', user => shown(user, 'online'));
  chat.on('userOffline', user => shown(user, 'offline'));
  chat.on('presenceUpdate', user => shown(user, user.status));
  chat.on('error', problem);
  chat.on('problem', problem);
}

async function refreshPresence(users) {
  const userIds = users.slice(0, 100).map(u => u.userId);
  const {presenceData} = await chat.request('getPresence', {userIds}).catch(() => ({presenceData: []}));
  for (const p of presenceData) presence.set(p.userId, p.isOnline ? p.status : 'offline');
  drawMembers();
}

// ---- errors, in words ---------------------------------------------------------------

function words(e) {
  switch (e.error) {
    case 'RATE_LIMITED': return `Slow down a little: try again in ${Math.ceil((e.retryAfterMs ?? 1000) / 1000)} s.`;
    case 'UNAVAILABLE': return `${e.message || 'Something on our side is away.'} It is tried again by itself.`;
    case 'NOT_IN_ROOM': return 'You are not in this room any more.';
    default: return e.message || 'That did not work.';
  }
}

const problem = e => notice(words(e));

let noticeTimer;
function notice(text) {
  $('notice').textContent = text;
  clearTimeout(noticeTimer);
  if (text) noticeTimer = setTimeout(() => notice(''), 8000);
}

// ---- drawing ------------------------------------------------------------------------

function element(tag, className, text) {
  const e = document.createElement(tag);
  if (className) e.className = className;
  if (text !== undefined) e.textContent = text;
  return e;
}

function draw() { drawRooms(); drawMessages(); drawMembers(); drawTyping(); }

function drawRooms() {
  $('title').textContent = current ?? '';
  let unread = 0;
  $('rooms').replaceChildren(...[...rooms].map(([id, room]) => {
    unread += room.unread;
    const li = element('li', id === current ? 'current' : '');
    const button = element('button', '', id);
    button.addEventListener('click', () => show(id));
    if (room.unread) button.append(element('span', 'badge', room.unread));
    li.append(button);
    return li;
  }));
  document.title = unread ? `(${unread}) Confab` : 'Confab';
}

function hue(id) { return [...id].reduce((h, c) => (h * 31 + c.codePointAt(0)) % 360, 7); }

function messageItem(m, previous) {
  const mine = m.author.id === me.userId || m.state;
  const li = element('li', `message${mine ? ' mine' : ''}${m.state ? ` ${m.state}` : ''}`);
  if (!previous || previous.author?.id !== m.author.id || Date.parse(m.timestamp) - Date.parse(previous.timestamp) > 300_000) {
    const head = element('div', 'head');
    const who = element('b', '', m.author.username);
    who.style.setProperty('--hue', hue(m.author.id ?? me.userId));
    const time = element('time', '', new Date(m.timestamp).toLocaleTimeString([], {hour: '2-digit', minute: '2-digit'}));
    time.dateTime = m.timestamp;
    head.append(who, time);
    li.append(head);
  }
  li.append(element('p', 'text', m.content));
  if (m.state === 'failed') {
    const retry = element('button', 'quiet', 'Send again');
    retry.addEventListener('click', m.retry);
    li.append(element('span', 'problem', m.why), retry);
  }
  return li;
}

function drawMessages(follow) {
  const room = rooms.get(current), box = $('messages');
  if (!room) return box.replaceChildren();
  const atEnd = box.scrollHeight - box.scrollTop - box.clientHeight < 80;
  const entries = [...room.messages.values(), ...room.notes].sort((a, b) => a.seq - b.seq);
  let previous;
  box.replaceChildren(...[...entries, ...room.pending.values()].map(m => {
    if (m.text) return element('li', 'note', m.text);
    const li = messageItem({...m, author: {...m.author, id: m.author.id ?? me.userId}}, previous);
    previous = {...m, author: {id: m.author.id ?? me.userId}};
    return li;
  }));
  if (!entries.length && !room.pending.size) box.append(element('li', 'note', 'Nobody has said anything here yet.'));
  if (follow && atEnd) box.scrollTop = box.scrollHeight;
}

function drawMembers() {
  const room = rooms.get(current);
  if (!room) return;
  $('total').textContent = room.total || '';
  const sorted = [...room.users].sort((a, b) => a.username.localeCompare(b.username));
  $('members').replaceChildren(...sorted.map(user => {
    const li = element('li', '', user.username);
    li.dataset.status = presence.get(user.userId) ?? 'online';
    li.title = li.dataset.status;
    if (user.userId === me.userId) li.append(element('i', '', ' you'));
    return li;
  }));
}

function drawTyping() {
  const names = [...(rooms.get(current)?.typing.values() ?? [])];
  $('typing').textContent = !names.length ? '' : names.length === 1 ? `${names[0]} is typing …`
    : names.length < 4 ? `${names.slice(0, -1).join(', ')} and ${names.at(-1)} are typing …` : 'Several people are typing …';
}

document.addEventListener('visibilitychange', () => {
  if (document.hidden || !rooms.has(current)) return;
  rooms.get(current).unread = 0;
  drawRooms();
});

$('name').value = sessionStorage.getItem('name') ?? '';
if (location.hash.length > 1) $('first-room').value = decodeURIComponent(location.hash.slice(1));
