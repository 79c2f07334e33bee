import type { FastifyReply } from 'fastify';
import { z } from 'zod';
import { sendError } from '../http-error.ts';

/** An object without the keys that are `undefined`: as a form leaves out what nobody filled in. */
type Given<T> = { [Key in keyof T]: Exclude<T[Key], undefined> };

/** Answers with what is made of checked input, or says what is wrong with it. */
export async function answeredQuery<Shape extends z.ZodType, Answer>(
  reply: FastifyReply,
  shape: Shape,
  input: unknown,
  answer: (checked: Given<z.infer<Shape>>) => Promise<Answer>,
): Promise<Answer | FastifyReply> {
  const checked = shape.safeParse(input ?? {});
  if (checked.success) return answer(checked.data as Given<z.infer<Shape>>);
  return sendError(reply, 400, {
    code: 'malformed_request',
    message: `This can’t be answered: ${z.prettifyError(checked.error)}`,
    hint: 'docs/console.md lists what each address takes.',
  });
}
