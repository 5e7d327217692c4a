/* Runs a SavedModel by TensorFlow's C library, without Python.

   usage: session MODEL INPUT OUTPUT NUMBER FILE...: for each FILE writes FILE.answer, what the NUMBERth output of the operation
   OUTPUT holds for a batch of that file alone, given to the operation INPUT. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tensorflow/c/c_api.h"
#include "tensorflow/c/tf_tstring.h"

static void check(int ok, const char *what) {
  if (ok) return;
  fprintf(stderr, "%s\n", what);
  exit(1);
}

static void release(void *data, size_t length, void *argument) {}

int main(int count, char **arguments) {
  check(count > 5, "usage: session MODEL INPUT OUTPUT NUMBER FILE...");
  const char *tags[] = {"serve"};
  TF_Status *status = TF_NewStatus();
  TF_Graph *graph = TF_NewGraph();
  TF_SessionOptions *options = TF_NewSessionOptions();
  TF_Session *session = TF_LoadSessionFromSavedModel(options, NULL, arguments[1], tags, 1, graph, NULL, status);
  check(TF_GetCode(status) == TF_OK, TF_Message(status));
  TF_Output input = {TF_GraphOperationByName(graph, arguments[2]), 0};
  TF_Output output = {TF_GraphOperationByName(graph, arguments[3]), atoi(arguments[4])};
  check(input.oper && output.oper, "the model must have these operations");

  for (int i = 5; i < count; i++) {
    FILE *file = fopen(arguments[i], "rb");
    check(file != NULL, arguments[i]);
    fseek(file, 0, SEEK_END);
    size_t size = ftell(file);
    rewind(file);
    char *bytes = malloc(size);
    check(fread(bytes, 1, size, file) == size, "the file must be read");
    fclose(file);

    TF_TString text;
    TF_StringInit(&text);
    TF_StringCopy(&text, bytes, size);
    int64_t shape[] = {1};
    TF_Tensor *sent = TF_NewTensor(TF_STRING, shape, 1, &text, sizeof text, release, NULL);
    TF_Tensor *found = NULL;
    TF_SessionRun(session, NULL, &input, &sent, 1, &output, &found, 1, NULL, 0, NULL, status);
    check(TF_GetCode(status) == TF_OK, TF_Message(status));

    const TF_TString *answer = TF_TensorData(found);
    char name[4096];
    snprintf(name, sizeof name, "%s.answer", arguments[i]);
    file = fopen(name, "wb");
    check(file != NULL, name);
    fwrite(TF_StringGetDataPointer(answer), 1, TF_StringGetSize(answer), file);
    fclose(file);
    TF_DeleteTensor(found);
    TF_DeleteTensor(sent);
    TF_StringDealloc(&text);
    free(bytes);
  }
  TF_CloseSession(session, status);
  TF_DeleteSession(session, status);
  return 0;
}
