// Sends calls with Segment's library for Node and prints the messageId of each,
// in order, or null for a call whose delivery the library gave up.
// Options: package, host, writeKey, calls, and any setting of the library.
import { options } from './options.mjs'

const { package: name, calls, ...settings } = options
const { Analytics } = await import(name)

const analytics = new Analytics(settings)
analytics.on('error', (error) => console.error('error event:', error.code, error.reason?.message))

const sent = calls.map(({ type, timestamp, ...call }) => new Promise((resolve) => {
  if (timestamp) call.timestamp = new Date(timestamp)
  analytics[type](call, (error, context) => resolve(error ? null : context.event.messageId))
}))
await analytics.closeAndFlush({ timeout: 40_000 })
console.log(JSON.stringify(await Promise.all(sent)))
