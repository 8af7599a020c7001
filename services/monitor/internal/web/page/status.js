'use strict';

// Fetches health and statistics every two seconds and shows them. Names of rooms and
// instances are untrusted: they are only ever set as text, never as HTML.

const period = 2000;
const byId = (id) => document.getElementById(id);
const shown = (value) => (value === null || value === undefined ? 'unknown' : String(value));
const time = (iso) => (iso ? new Date(iso).toLocaleString() : 'unknown');

function element(tag, text, state) {
  const e = document.createElement(tag);
  e.textContent = text;
  if (state) e.dataset.state = state;
  return e;
}

function row(...cells) {
  const tr = document.createElement('tr');
  for (const cell of cells) tr.append(cell instanceof Node ? cell : element('td', shown(cell)));
  return tr;
}

function figure([name, value]) {
  const pair = document.createElement('div');
  pair.append(element('dt', name), element('dd', shown(value)));
  return pair;
}

function load(instance) {
  if (instance.edge) return `${instance.edge.connections} connections, ${instance.edge.rooms} rooms`;
  if (instance.room) return `${instance.room.shards.length} shards, ${instance.room.rooms} rooms`;
  if (instance.limit) return `${instance.limit.shards.length} shards, ${instance.limit.keys} keys`;
  return '';
}

function figures(health, stats) {
  const ms = (name) => (stats.latency[name] ? `${stats.latency[name].p50Ms} / ${stats.latency[name].p99Ms} ms` : 'unknown');
  return [
    ['Users online', health.websocket.connectedUsers],
    ['Connections', stats.connections.current],
    ['Active rooms', stats.rooms.active],
    ['Messages stored', stats.messages.totalProcessed],
    ['Messages per second', stats.rates.messages],
    ['Deliveries per second', stats.rates.deliveries],
    ['Refused by a limit', stats.rateLimiting.violations],
    ['Send to reply, p50 / p99', ms('accept')],
    ['Append, p50 / p99', ms('append')],
    ['Complete', stats.complete ? 'yes' : 'no'],
  ];
}

function show(health, stats) {
  byId('state').textContent = health.status;
  byId('state').dataset.state = health.status;
  byId('when').textContent = time(stats.timestamp);
  byId('notes').replaceChildren(...stats.notes.map((note) => element('li', note)));
  byId('figures').replaceChildren(...figures(health, stats).map(figure));
  byId('instances').replaceChildren(...stats.instances.map((i) => row(
    i.service, i.instance, element('td', i.status, i.status), load(i), i.version, time(i.startedAt), time(i.lastSeen))));
  byId('rooms').replaceChildren(...stats.rooms.details.slice(0, 20).map((r) => row(
    r.roomId, r.userCount, r.typingUsers, time(r.lastActivity))));
}

async function ask(path) {
  const answer = await fetch(path, { signal: AbortSignal.timeout(5000) });
  return answer.json(); // 503 has a body too
}

async function refresh() {
  try {
    show(...await Promise.all([ask('websocket/health'), ask('websocket/stats')]));
  } catch (err) {
    byId('state').textContent = 'the monitor does not respond';
    byId('state').dataset.state = 'unhealthy';
  }
  setTimeout(refresh, period);
}

refresh();
