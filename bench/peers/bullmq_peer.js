// BullMQ: N job schedulers on one cron line in Redis, one worker that posts to URL/<job>.
// Arguments: URL, jobs, port of Redis.
const http = require('node:http')
const { Queue, Worker } = require('bullmq')

const [url, jobs, port] = [process.argv[2], Number(process.argv[3]), Number(process.argv[4])]
const connection = { host: '127.0.0.1', port }
const agent = new http.Agent({ keepAlive: true, maxSockets: 64 })

const post = (job) =>
  new Promise((resolve, reject) => {
    const request = http.request(`${url}/${job}`, { method: 'POST', agent }, (response) => {
      response.resume()
      response.on('end', resolve)
    })
    request.on('error', reject)
    request.end(JSON.stringify({ n: job }))
  })

async function main() {
  const queue = new Queue('bench', { connection })
  const keep = { removeOnComplete: true, removeOnFail: true }
  for (let first = 1; first <= jobs; first += 500) {
    const chunk = Array.from({ length: Math.min(500, jobs - first + 1) }, (_, i) => first + i)
    await Promise.all(
      chunk.map((n) =>
        queue.upsertJobScheduler(String(n), { pattern: '*/10 * * * * *' }, { data: { n }, opts: keep }),
      ),
    )
  }
  const worker = new Worker('bench', (job) => post(job.data.n), { connection, concurrency: 256 })
  worker.on('error', (error) => console.error(error.message))
  console.log('ready')
}

main()
