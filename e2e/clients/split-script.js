// What every Split SDK for JavaScript is made to do, in Node and in a browser:
// evaluate, track, and say what it answered. client(key) gives the SDK's client
// for a key; evaluate(client, key, ...) hides that only server SDKs name the key
// in each call.
export async function run({ evaluations, events }, evaluate, track) {
  const answers = []
  for (const { key, bucketingKey, flag, properties } of evaluations) {
    await nextMillisecond() // impressions of one key and flag differ by their time
    const options = properties ? { properties } : undefined
    const { treatment, config } = await evaluate(bucketingKey ? { matchingKey: key, bucketingKey } : key, flag, options)
    answers.push({ treatment, config })
  }
  for (const { key, trafficType, eventType, value, properties } of events) {
    if (!await track(key, trafficType, eventType, value, properties)) throw new Error(`track of ${eventType} was refused`)
  }
  return answers
}

export function urls(host) {
  return { sdk: host + '/api', events: host + '/api', auth: host + '/api', streaming: host, telemetry: host + '/api' }
}

export function ready(client) {
  return new Promise((resolve, reject) => {
    client.on(client.Event.SDK_READY, resolve)
    client.on(client.Event.SDK_READY_TIMED_OUT, () => reject(new Error('SDK_READY_TIMED_OUT')))
  })
}

async function nextMillisecond() {
  for (const start = Date.now(); Date.now() === start;) await new Promise((resolve) => setTimeout(resolve, 1))
}
