// Sends calls with RudderStack's library for Node and prints the messageId of
// each, in order, or null for a call whose delivery the library gave up.
// Options: host, writeKey, calls, and any setting of the library.
import { createRequire } from 'node:module'
import { options } from './options.mjs'

const Analytics = createRequire(import.meta.url)('@rudderstack/rudder-sdk-node')
const { writeKey, host, calls, ...settings } = options

const analytics = new Analytics(writeKey, { dataPlaneUrl: host, logLevel: 'none', errorHandler: (e) => console.error(e.message), ...settings })
const sent = calls.map(({ type, timestamp, ...call }, i) => new Promise((resolve) => {
  if (timestamp) call.timestamp = new Date(timestamp)
  // The batch that a callback is given may be compressed: the ids are told beforehand.
  const messageId = call.messageId ?? `rudder-${process.pid}-${Date.now()}-${i}`
  analytics[type]({ messageId, ...call }, (error) => resolve(error ? null : messageId))
}))
for (;;) { // one flush sends at most flushAt calls
  await analytics.flush()
  if (analytics.queue.length === 0) break
}
console.log(JSON.stringify(await Promise.all(sent)))
