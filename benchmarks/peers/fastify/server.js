// The todo API on Fastify and node-postgres: PORT and DATABASE_URL come from the environment.
import cluster from 'node:cluster'
import Fastify from 'fastify'
import pg from 'pg'

const PROCESSES = 2

// A Date has milliseconds only, so PostgreSQL writes the timestamps.
const timestamp = (column) =>
  `to_char(${column} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS ${column}`
const COLUMNS = `id, description, completed, ${timestamp('created_at')}, ${timestamp('updated_at')}`

const description = { type: 'string', minLength: 1, maxLength: 500 }
const todoSchema = {
  $id: 'todo',
  type: 'object',
  properties: {
    id: { type: 'integer' },
    description: { type: 'string' },
    completed: { type: 'boolean' },
    created_at: { type: 'string' },
    updated_at: { type: 'string' }
  }
}
const idSchema = { type: 'object', properties: { id: { type: 'integer' } } }

function build () {
  const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL })
  const app = Fastify()
  app.addSchema(todoSchema)

  const notFound = (reply, id) => reply.code(404).send({ detail: `Todo ${id} not found` })

  app.get('/api/todos', {
    schema: {
      querystring: {
        type: 'object',
        properties: {
          search: { type: 'string' },
          limit: { type: 'integer', minimum: 1 },
          offset: { type: 'integer', minimum: 0, default: 0 }
        }
      },
      response: { 200: { type: 'array', items: { $ref: 'todo#' } } }
    }
  }, async (request) => {
    const { search, limit, offset } = request.query
    const { rows } = search
      ? await pool.query({
        name: 'search',
        text: `SELECT ${COLUMNS} FROM todos WHERE description ILIKE $1 ORDER BY id LIMIT $2 OFFSET $3`,
        values: [`%${search.replace(/[\\%_]/g, '\\$&')}%`, limit, offset]
      })
      : await pool.query({
        // Not a prepared statement, whose generic plan would be slow.
        text: `SELECT ${COLUMNS} FROM todos ORDER BY id LIMIT $1 OFFSET $2`,
        values: [limit, offset]
      })
    return rows
  })

  app.post('/api/todos', {
    schema: {
      body: { type: 'object', required: ['description'], properties: { description } },
      response: { 201: { $ref: 'todo#' } }
    }
  }, async (request, reply) => {
    const { rows } = await pool.query({
      name: 'create',
      text: `INSERT INTO todos (description) VALUES ($1) RETURNING ${COLUMNS}`,
      values: [request.body.description]
    })
    return reply.code(201).send(rows[0])
  })

  app.get('/api/todos/:id', {
    schema: { params: idSchema, response: { 200: { $ref: 'todo#' } } }
  }, async (request, reply) => {
    const { id } = request.params
    const { rows } = await pool.query({
      name: 'get',
      text: `SELECT ${COLUMNS} FROM todos WHERE id = $1`,
      values: [id]
    })
    return rows[0] ?? notFound(reply, id)
  })

  app.patch('/api/todos/:id', {
    schema: {
      params: idSchema,
      body: { type: 'object', properties: { description, completed: { type: 'boolean' } } },
      response: { 200: { $ref: 'todo#' } }
    }
  }, async (request, reply) => {
    const { id } = request.params
    const { rows } = await pool.query({
      name: 'update',
      text: `UPDATE todos SET description = coalesce($2, description),
        completed = coalesce($3, completed), updated_at = now()
        WHERE id = $1 RETURNING ${COLUMNS}`,
      values: [id, request.body.description, request.body.completed]
    })
    return rows[0] ?? notFound(reply, id)
  })

  return app
}

if (cluster.isPrimary) {
  for (let i = 0; i < PROCESSES; i++) cluster.fork()
} else {
  await build().listen({ host: '127.0.0.1', port: Number(process.env.PORT) })
}
