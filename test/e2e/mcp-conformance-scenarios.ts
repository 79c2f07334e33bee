/**
 * What a scenario of the public conformance suite comes to. `{}` passes whole. Otherwise each check that doesn't pass
 * stands with words that its message must hold: which example tool, prompt or resource of the suite's own it asks for, or
 * that a method is not offered. A sentence alone says why nothing of the scenario applies.
 */
export type Expected = Readonly<Record<string, string>> | string;

const NO_METHOD = 'Method not found';
const NO_TASKS = 'the extension SEP-2663 (calls that outlive their request) is not offered';

/** Every scenario that the suite has for servers, by the revision of the protocol. One that is in no table fails the test. */
export const SCENARIOS: Readonly<Record<string, Readonly<Record<string, Expected>>>> = {
  '2025-11-25': {
    'server-initialize': {},
    'server-session-lifecycle': {},
    ping: {},
    'tools-list': {},
    'server-sse-multiple-streams': {},
    'server-sse-polling': {},
    'dns-rebinding-protection': {},
    'completion-complete': { 'completion-complete': 'arg1' },
    'resources-list': {},
    'resources-read-text': { 'resources-read-text': 'test://static-text' },
    'resources-read-binary': { 'resources-read-binary': 'test://static-binary' },
    'resources-templates-read': { 'resources-templates-read': 'test://template' },
    'resources-subscribe': { 'resources-subscribe': NO_METHOD },
    'resources-unsubscribe': { 'resources-unsubscribe': NO_METHOD },
    'prompts-list': {},
    'prompts-get-simple': { 'prompts-get-simple': 'test_simple_prompt' },
    'prompts-get-with-args': { 'prompts-get-with-args': 'test_prompt_with_arguments' },
    'prompts-get-embedded-resource': { 'prompts-get-embedded-resource': 'test_prompt_with_embedded_resource' },
    'prompts-get-with-image': { 'prompts-get-with-image': 'test_prompt_with_image' },
    // Log messages go to the operator's log, never to an agent.
    'logging-set-level': { 'logging-set-level': NO_METHOD },
    'tools-call-with-logging': { 'tools-call-with-logging': NO_METHOD },
    'tools-call-simple-text': { 'tools-call-simple-text': 'test_simple_text' },
    'tools-call-image': { 'tools-call-image': 'test_image_content' },
    'tools-call-audio': { 'tools-call-audio': 'test_audio_content' },
    'tools-call-embedded-resource': { 'tools-call-embedded-resource': 'test_embedded_resource' },
    'tools-call-mixed-content': { 'tools-call-mixed-content': 'test_multiple_content_types' },
    'tools-call-error': { 'tools-call-error': 'test_error_handling' },
    'tools-call-with-progress': { 'tools-call-with-progress': 'test_tool_with_progress' },
    'tools-call-sampling': { 'tools-call-sampling': 'test_sampling' },
    'tools-call-elicitation': { 'tools-call-elicitation': 'test_elicitation' },
    'json-schema-2020-12': { 'json-schema-2020-12-tool-found': 'json_schema_2020_12_tool' },
    'elicitation-sep1034-defaults': { 'elicitation-sep1034-general': 'test_elicitation_sep1034_defaults' },
    'elicitation-sep1330-enums': { 'elicitation-sep1330-general': 'test_elicitation_sep1330_enums' },
  },
  '2026-07-28': {
    'server-stateless': {
      'sep-2575-server-rejects-undeclared-capability': 'test_missing_capability',
      'sep-2575-missing-capability-http-400': 'test_missing_capability',
      'sep-2575-http-server-no-independent-requests-on-stream': 'test_streaming_elicitation',
      'sep-2575-server-no-log-without-loglevel': 'test_logging_tool',
    },
    'tools-list': {},
    'server-sse-multiple-streams': {},
    'sep-2164-resource-not-found': {},
    'dns-rebinding-protection': {},
    'http-header-validation': {},
    caching: {},
    'completion-complete': { 'completion-complete': 'arg1' },
    'resources-list': {},
    'resources-read-text': { 'resources-read-text': 'test://static-text' },
    'resources-read-binary': { 'resources-read-binary': 'test://static-binary' },
    'resources-templates-read': { 'resources-templates-read': 'test://template' },
    'prompts-list': {},
    'prompts-get-simple': { 'prompts-get-simple': 'test_simple_prompt' },
    'prompts-get-with-args': { 'prompts-get-with-args': 'test_prompt_with_arguments' },
    'prompts-get-embedded-resource': { 'prompts-get-embedded-resource': 'test_prompt_with_embedded_resource' },
    'prompts-get-with-image': { 'prompts-get-with-image': 'test_prompt_with_image' },
    'tools-call-simple-text': { 'tools-call-simple-text': 'test_simple_text' },
    'tools-call-image': { 'tools-call-image': 'test_image_content' },
    'tools-call-audio': { 'tools-call-audio': 'test_audio_content' },
    'tools-call-embedded-resource': { 'tools-call-embedded-resource': 'test_embedded_resource' },
    'tools-call-mixed-content': { 'tools-call-mixed-content': 'test_multiple_content_types' },
    'tools-call-error': { 'tools-call-error': 'test_error_handling' },
    'tools-call-with-progress': { 'tools-call-with-progress': 'test_tool_with_progress' },
    'json-schema-2020-12': { 'json-schema-2020-12-tool-found': 'json_schema_2020_12_tool' },
    // No argument of a tool is asked for as an HTTP header.
    'http-custom-header-server-validation': {
      'sep-2243-server-no-xmcp-tool': 'no tool with x-mcp-header',
      'sep-2243-server-decode-base64': 'no tool with x-mcp-header',
      'sep-2243-server-validate-param-match': 'no tool with x-mcp-header',
      'sep-2243-server-reject-invalid-param-chars': 'no tool with x-mcp-header',
      'sep-2243-server-reject-param-mismatch': 'no tool with x-mcp-header',
    },
    // Questions of the server in the middle of a call: what a person decides here is asked of people, not of the client.
    'input-required-result-missing-input-response': {},
    'input-required-result-unsupported-methods': {},
    'input-required-result-ignore-extra-params': {},
    'input-required-result-validate-input': {},
    'input-required-result-basic-elicitation': {
      'sep-2322-elicitation-incomplete': 'test_input_required_result_elicitation',
    },
    'input-required-result-basic-sampling': {
      'sep-2322-sampling-incomplete': 'test_input_required_result_sampling',
    },
    'input-required-result-basic-list-roots': {
      'sep-2322-list-roots-incomplete': 'test_input_required_result_list_roots',
    },
    'input-required-result-request-state': {
      'sep-2322-request-state-incomplete': 'test_input_required_result_request_state',
    },
    'input-required-result-multiple-input-requests': {
      'sep-2322-multiple-inputs-incomplete': 'test_input_required_result_multiple_inputs',
    },
    'input-required-result-multi-round': { 'sep-2322-multi-round-r1': 'Expected InputRequiredResult' },
    'input-required-result-non-tool-request': { 'sep-2322-non-tool-incomplete': 'test_input_required_result_prompt' },
    'input-required-result-result-type': {
      'sep-2322-result-type-included': 'test_input_required_result_elicitation',
    },
    'input-required-result-tampered-state': {
      'sep-2322-reject-tampered-state': 'could not get initial InputRequiredResult',
    },
    'input-required-result-capability-check': {
      'sep-2322-respect-client-capabilities': 'test_input_required_result_capabilities',
    },
    'tasks-lifecycle': NO_TASKS,
    'tasks-capability-negotiation': NO_TASKS,
    'tasks-wire-fields': NO_TASKS,
    'tasks-request-state-removal': NO_TASKS,
    'tasks-mrtr-input': NO_TASKS,
    'tasks-request-headers': NO_TASKS,
    'tasks-dispatch-and-envelope': NO_TASKS,
    'tasks-status-notifications': NO_TASKS,
    'tasks-required-task-error': NO_TASKS,
    'tasks-mrtr-composition': NO_TASKS,
  },
};
